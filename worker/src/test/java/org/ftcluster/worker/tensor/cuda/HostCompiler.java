package org.ftcluster.worker.tensor.cuda;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/** The host's C++ compiler, which makes what stands for a GPU and its libraries. */
public final class HostCompiler {
  private static final Path ANYWHERE = Path.of(".");

  private HostCompiler() {}

  /** The test that asks is skipped where there is none. */
  public static void assumeIsHere() {
    Assumptions.assumeTrue(
        run(ANYWHERE, List.of("g++", "--version")) == 0,
        "GPUs are simulated by g++, which isn't here");
  }

  /** Compiles a library, and loads it for good. */
  static SymbolLookup library(String name, String source, String... options) throws IOException {
    Path folder = Files.createTempDirectory("simulation");
    Path library = compile(folder, name, source, options);
    SymbolLookup loaded = SymbolLookup.libraryLookup(library, Arena.global());
    Files.delete(library);
    Files.delete(folder);
    return loaded;
  }

  /**
   * Compiles a library.
   *
   * @param folder where it goes
   * @param name of the source, in messages
   */
  public static Path compile(Path folder, String name, String source, String... options) {
    try {
      Path file = Files.writeString(folder.resolve("source.cpp"), source);
      List<String> command =
          new ArrayList<>(List.of("g++", "-std=c++17", "-O2", "-shared", "-fPIC", "-pthread"));
      command.addAll(List.of(options));
      command.addAll(List.of("source.cpp", "-o", "library.so"));
      int result = run(folder, command);
      Files.delete(file);
      if (result != 0) {
        throw new IllegalStateException(name + " isn't C++ that g++ compiles");
      }
      return folder.resolve("library.so");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static int run(Path folder, List<String> command) {
    try {
      Process process =
          new ProcessBuilder(command)
              .directory(folder.toFile())
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      if (!process.waitFor(60, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        return -1;
      }
      return process.exitValue();
    } catch (IOException e) {
      return -1;
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
