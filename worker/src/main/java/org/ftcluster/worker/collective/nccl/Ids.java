package org.ftcluster.worker.collective.nccl;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;

/** How ranks come by the ids under which NCCL has them meet: over their hosts. */
final class Ids {
  private Ids() {}

  /** A new one of the first rank's. */
  static byte[] ofFirst(NcclContext context, Communicator hosts) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment id = arena.allocate(NcclLibrary.ID_BYTES);
      if (hosts.rank() == 0) {
        id.copyFrom(MemorySegment.ofArray(context.nccl().uniqueId()));
      }
      hosts.broadcast(id, 0).await(context.deadline());
      return id.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  /**
   * New ones of every rank's.
   *
   * @param count of each
   * @return by rank, one after the other
   */
  static List<byte[]> ofAll(NcclContext context, Communicator hosts, int count) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment own = arena.allocate((long) count * NcclLibrary.ID_BYTES);
      for (int i = 0; i < count; i++) {
        at(own, i).copyFrom(MemorySegment.ofArray(context.nccl().uniqueId()));
      }
      MemorySegment all = arena.allocate(own.byteSize() * hosts.size());
      hosts.allGather(own, all).await(context.deadline());
      List<byte[]> ids = new ArrayList<>();
      for (int i = 0; i < count * hosts.size(); i++) {
        ids.add(at(all, i).toArray(ValueLayout.JAVA_BYTE));
      }
      return ids;
    }
  }

  private static MemorySegment at(MemorySegment ids, int index) {
    return ids.asSlice((long) index * NcclLibrary.ID_BYTES, NcclLibrary.ID_BYTES);
  }
}
