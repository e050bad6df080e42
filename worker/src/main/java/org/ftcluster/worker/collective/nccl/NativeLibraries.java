package org.ftcluster.worker.collective.nccl;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.ftcluster.worker.collective.CollectiveException;
import org.jspecify.annotations.Nullable;

/** Where a library is: where a setting says, beside libtorch, or where the system has it. */
record NativeLibraries(String name, String property, String variable) {
  /** A folder with libraries of CUDA, such as that of libtorch. */
  static final String FOLDER_PROPERTY = "ftcluster.cuda.folder";

  /**
   * Opens the first that is there.
   *
   * @throws CollectiveException when a setting names one that isn't there
   */
  Optional<SymbolLookup> open() {
    String named = setting();
    if (named != null) {
      if (!Files.isRegularFile(Path.of(named))) {
        throw new CollectiveException(
            "%s names %s, but there is no such file".formatted(variable, named));
      }
      return Optional.of(SymbolLookup.libraryLookup(Path.of(named), Arena.global()));
    }
    for (String place : places()) {
      try {
        return Optional.of(SymbolLookup.libraryLookup(place, Arena.global()));
      } catch (IllegalArgumentException e) {
        // Not there: the next place may have it.
        continue;
      }
    }
    return Optional.empty();
  }

  private @Nullable String setting() {
    String value = System.getProperty(property);
    return value != null ? value : System.getenv(variable);
  }

  private List<String> places() {
    List<String> places = new ArrayList<>();
    for (String folder :
        new @Nullable String[] {
          System.getProperty(FOLDER_PROPERTY), System.getenv("PYTORCH_LIBRARY_PATH")
        }) {
      if (folder != null) {
        places.add(Path.of(folder, name).toString());
      }
    }
    places.add(name);
    return places;
  }
}
