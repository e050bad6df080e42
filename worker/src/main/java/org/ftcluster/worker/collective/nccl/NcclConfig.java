package org.ftcluster.worker.collective.nccl;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;

/** {@code ncclConfig_t} as of NCCL 2.17 to 2.26, which later ones take, too. */
final class NcclConfig {
  static final StructLayout LAYOUT =
      MemoryLayout.structLayout(
          JAVA_LONG.withName("size"),
          JAVA_INT.withName("magic"),
          JAVA_INT.withName("version"),
          JAVA_INT.withName("blocking"),
          JAVA_INT.withName("cgaClusterSize"),
          JAVA_INT.withName("minCTAs"),
          JAVA_INT.withName("maxCTAs"),
          ADDRESS.withName("netName"),
          JAVA_INT.withName("splitShare"),
          JAVA_INT.withName("trafficClass"));

  private static final int MAGIC = 0xcafebeef;

  /** What isn't set. */
  private static final int UNDEFINED = Integer.MIN_VALUE;

  private NcclConfig() {}

  /**
   * Calls return at once, and say later how they went.
   *
   * @param version of the library
   */
  static MemorySegment nonBlocking(Arena arena, int version) {
    MemorySegment config = arena.allocate(LAYOUT);
    for (String name :
        new String[] {"cgaClusterSize", "minCTAs", "maxCTAs", "splitShare", "trafficClass"}) {
      set(config, name, UNDEFINED);
    }
    config.set(JAVA_LONG, offset("size"), LAYOUT.byteSize());
    set(config, "magic", MAGIC);
    set(config, "version", version);
    set(config, "blocking", 0);
    return config;
  }

  static long offset(String name) {
    return LAYOUT.byteOffset(PathElement.groupElement(name));
  }

  private static void set(MemorySegment config, String name, int value) {
    config.set(JAVA_INT, offset(name), value);
  }
}
