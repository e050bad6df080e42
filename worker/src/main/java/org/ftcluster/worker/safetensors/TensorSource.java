package org.ftcluster.worker.safetensors;

import java.util.Set;

/**
 * Named tensors on disk, mapped into memory: opening costs nothing, and pages are read when they
 * are touched. Any thread may look tensors up; views are of no use after {@link #close}.
 */
public sealed interface TensorSource extends AutoCloseable
    permits SafetensorsFile, SafetensorsFolder {
  /** All tensors' names, in the order of their data. */
  Set<String> names();

  /**
   * The tensor of that name.
   *
   * @throws SafetensorsException when there is none
   */
  TensorView get(String name);

  default boolean contains(String name) {
    return names().contains(name);
  }

  @Override
  void close();
}
