package org.ftcluster.worker.model;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** Where something is between its uses. */
public sealed interface Tier {
  Tier MEMORY = new Memory();
  Tier HOST = new Host();

  /** Where layers compute: there is nothing to bring. */
  record Memory() implements Tier {}

  /** In the memory of an accelerator's host. */
  record Host() implements Tier {}

  /**
   * In files.
   *
   * @param folder on the disk
   */
  record Disk(@Override Path folder) implements Tier {}

  /** A disk, or memory where there is none. */
  static Tier disk(@Nullable Path folder) {
    return folder == null ? MEMORY : new Disk(folder);
  }

  /** Null where it isn't on a disk. */
  default @Nullable Path folder() {
    return null;
  }
}
