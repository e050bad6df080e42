package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.protocol.file.DurableFiles;

/** Folders of files as units that are replaced and removed whole. */
final class Folders {
  private Folders() {}

  /** An empty folder under the name that {@code target} has while it is written. */
  static Path createPartial(Path target) throws IOException {
    Path partial = DurableFiles.partial(target);
    delete(partial);
    return Files.createDirectories(partial);
  }

  /**
   * Gives a partial folder, whose files are synced, its name. A folder that has the name already is
   * renamed away and deleted afterwards: between two renames neither is there, but one of them
   * always is, whole.
   */
  static void publish(Path partial, Path target) throws IOException {
    DurableFiles.syncDirectory(partial);
    Path replaced = target.resolveSibling(target.getFileName() + ".replaced");
    delete(replaced);
    if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
      DurableFiles.move(target, replaced);
    }
    DurableFiles.move(partial, target);
    delete(replaced);
  }

  /**
   * Removes a folder and the files in it. A folder inside it is none of ours: it stays, and so does
   * the folder.
   */
  static void delete(Path folder) throws IOException {
    if (Files.isSymbolicLink(folder)) {
      Files.delete(folder);
      return;
    }
    for (Path file : list(folder)) {
      if (!Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)) {
        Files.delete(file);
      }
    }
    try {
      Files.deleteIfExists(folder);
    } catch (DirectoryNotEmptyException e) {
      throw new IOException(folder + " holds folders that were not written here", e);
    }
  }

  /** What stands in a folder; nothing where there is none. */
  static List<Path> list(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }
}
