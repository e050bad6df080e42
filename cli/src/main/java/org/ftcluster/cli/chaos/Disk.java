package org.ftcluster.cli.chaos;

import org.ftcluster.cli.jvm.ChildJvm;

/** Where workers write. */
sealed interface Disk permits LimitedDisk, WriteLimits {
  /** Leaves no room. */
  void fill();

  /** Makes room again. */
  void free();

  /** A worker more. */
  void joined(ChildJvm worker);
}
