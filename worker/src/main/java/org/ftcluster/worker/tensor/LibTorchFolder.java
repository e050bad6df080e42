package org.ftcluster.worker.tensor;

import org.jspecify.annotations.Nullable;

/**
 * What settings say of libtorch's folder. Apart from {@link LibTorch}, which loads it, since a
 * process that computes nothing looks for libraries beside it, too.
 */
final class LibTorchFolder {
  /** The environment's variable, or the system property {@value #PROPERTY}, names a folder. */
  static final String VARIABLE = "FTCLUSTER_LIBTORCH";

  static final String PROPERTY = "ftcluster.libtorch";

  /** DJL's own, which counts where ours says nothing. */
  private static final String DJL_VARIABLE = "PYTORCH_LIBRARY_PATH";

  private LibTorchFolder() {}

  /**
   * What was set.
   *
   * @param by the variable's name
   */
  record Setting(String folder, String by) {}

  /** Null where DJL's own libtorch is meant. */
  static @Nullable Setting setting() {
    String ours = NativeLibraries.setting(PROPERTY, VARIABLE);
    if (ours != null && !ours.isBlank()) {
      return new Setting(ours, VARIABLE);
    }
    String djl = System.getenv(DJL_VARIABLE);
    return djl == null || djl.isBlank() ? null : new Setting(djl, DJL_VARIABLE);
  }
}
