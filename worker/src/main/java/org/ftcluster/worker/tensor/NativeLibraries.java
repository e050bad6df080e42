package org.ftcluster.worker.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Where a library of CUDA's is: where a setting says, beside libtorch, or where the system has it.
 *
 * @param names of its versions, the one to prefer first
 * @param property a system property that names its file
 * @param variable the environment's variable that does as well
 */
public record NativeLibraries(List<String> names, String property, String variable) {
  /** A folder with libraries of CUDA, such as that of libtorch. */
  static final String FOLDER_PROPERTY = "ftcluster.cuda.folder";

  public NativeLibraries {
    names = List.copyOf(names);
  }

  /**
   * Opens the first that is there.
   *
   * @throws NativeException when a setting names one that isn't there
   */
  public Optional<NativeLibrary> open() {
    String named = setting(property, variable);
    if (named != null) {
      if (!Files.isRegularFile(Path.of(named))) {
        throw new NativeException(
            "%s names %s, but there is no such file".formatted(variable, named));
      }
      return Optional.of(opened(SymbolLookup.libraryLookup(Path.of(named), Arena.global())));
    }
    for (String place : places()) {
      try {
        return Optional.of(opened(SymbolLookup.libraryLookup(place, Arena.global())));
      } catch (IllegalArgumentException e) {
        // Not there: the next place may have it.
      }
    }
    return Optional.empty();
  }

  private NativeLibrary opened(SymbolLookup symbols) {
    return new NativeLibrary(names.getFirst(), symbols);
  }

  /** What the system property says, or else the environment's variable; null where neither does. */
  static @Nullable String setting(String property, String variable) {
    String value = System.getProperty(property);
    return value != null ? value : System.getenv(variable);
  }

  private List<String> places() {
    List<String> places = new ArrayList<>();
    for (String name : names) {
      for (Path folder : folders()) {
        places.add(folder.resolve(name).toString());
      }
      places.add(name);
    }
    return places;
  }

  /**
   * Where PyTorch's packages put libraries of CUDA's: beside libtorch, or in packages beside it.
   */
  private static List<Path> folders() {
    List<Path> folders = new ArrayList<>();
    LibTorchFolder.Setting libtorch = LibTorchFolder.setting();
    for (@Nullable String named :
        new @Nullable String[] {
          System.getProperty(FOLDER_PROPERTY), libtorch == null ? null : libtorch.folder()
        }) {
      if (named != null) {
        Path folder = Path.of(named);
        folders.add(folder);
        for (String beside :
            List.of("cu13/lib", "nccl/lib", "cuda_nvrtc/lib", "cuda_runtime/lib")) {
          folders.add(folder.resolve("../../nvidia").resolve(beside));
        }
      }
    }
    return folders;
  }
}
