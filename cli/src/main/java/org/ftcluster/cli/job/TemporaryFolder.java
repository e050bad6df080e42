package org.ftcluster.cli.job;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.ftcluster.cli.console.CommandException;

/** A folder for a while, of files. */
record TemporaryFolder(Path path) {
  static TemporaryFolder create() {
    try {
      return new TemporaryFolder(Files.createTempDirectory("ftcluster-"));
    } catch (IOException e) {
      throw CommandException.failed("no temporary folder can be made: " + e.getMessage())
          .because(e);
    }
  }

  Path write(String name, String content) {
    try {
      return Files.writeString(path.resolve(name), content);
    } catch (IOException e) {
      throw CommandException.failed(
              "%s can't be written: %s".formatted(path.resolve(name), e.getMessage()))
          .because(e);
    }
  }

  /** With all that is in it. */
  void remove() {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(path)) {
      for (Path file : files) {
        Files.delete(file);
      }
      Files.delete(path);
    } catch (IOException e) {
      throw CommandException.failed("%s can't be removed: %s".formatted(path, e.getMessage()))
          .because(e);
    }
  }
}
