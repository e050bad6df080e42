package org.ftcluster.worker.collective.nccl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.tensor.NativeLibraries;
import org.ftcluster.worker.tensor.NativeLibrary;
import org.junit.jupiter.api.Test;

/**
 * What can be known of NCCL without a GPU; most of it of a real library, where one is installed.
 */
class NcclLibraryTest {
  @Test
  void theConfigurationIsLaidOutAsInNcclH() {
    assertEquals(48, NcclConfig.LAYOUT.byteSize());
    String[] names = {
      "size",
      "magic",
      "version",
      "blocking",
      "cgaClusterSize",
      "minCTAs",
      "maxCTAs",
      "netName",
      "splitShare",
      "trafficClass"
    };
    long[] offsets = Arrays.stream(names).mapToLong(NcclConfig::offset).toArray();
    assertEquals("[0, 8, 12, 16, 20, 24, 28, 32, 40, 44]", Arrays.toString(offsets));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment config = NcclConfig.nonBlocking(arena, 22602);
      assertEquals(48, config.get(ValueLayout.JAVA_LONG, 0));
      assertEquals(0xcafebeef, config.get(ValueLayout.JAVA_INT, 8));
      assertEquals(22602, config.get(ValueLayout.JAVA_INT, 12));
      assertEquals(0, config.get(ValueLayout.JAVA_INT, 16));
      assertEquals(Integer.MIN_VALUE, config.get(ValueLayout.JAVA_INT, 24));
    }
  }

  @Test
  void codesAreThoseOfNcclH() {
    assertEquals(4, NcclLibrary.code(ElementType.INT64));
    assertEquals(7, NcclLibrary.code(ElementType.FLOAT32));
    assertEquals(8, NcclLibrary.code(ElementType.FLOAT64));
    assertEquals(9, NcclLibrary.code(ElementType.BFLOAT16));
    assertEquals(0, NcclLibrary.code(ReduceOp.SUM));
    assertEquals(2, NcclLibrary.code(ReduceOp.MAX));
    assertEquals("2.26.2", NcclLibrary.text(22602));
  }

  @Test
  void aRealLibraryHasAllFunctionsAndSaysWhatIsWrong() {
    NcclLibrary nccl = installed();
    assertTrue(nccl.version() >= 21800, NcclLibrary.text(nccl.version()));
    assertEquals("no error", nccl.describe(0));
    assertTrue(nccl.describe(4).contains("invalid argument"), nccl.describe(4));
    assertTrue(nccl.describe(NcclLibrary.IN_PROGRESS).contains("in progress"));
  }

  @Test
  void everyIdIsAnother() {
    NcclLibrary nccl = installed();
    byte[] id = nccl.uniqueId();
    assertEquals(128, id.length);
    assertFalse(Arrays.equals(id, nccl.uniqueId()));
  }

  @Test
  void withoutADeviceItIsSaidWhatFailed() {
    NcclLibrary nccl = installed();
    assumeFalse(hasDevice(), "this machine has a GPU");
    CollectiveException e =
        assertThrows(CollectiveException.class, () -> nccl.begin(nccl.uniqueId(), 0, 1));
    assertTrue(e.getMessage().startsWith("ncclCommInitRankConfig failed: "), e.getMessage());
  }

  @Test
  void ranksWithoutALibraryAreTold() throws Exception {
    assumeFalse(NcclCommunicator.missing().isEmpty(), "this machine has NCCL and CUDA");
    Ranks.run(
        1,
        ranks -> {
          CollectiveException e =
              assertThrows(
                  CollectiveException.class,
                  () ->
                      NcclCommunicator.connect(
                          ranks, 0, MemorySegment.NULL, Duration.ofSeconds(5)));
          assertTrue(e.getMessage().matches("there is no lib(nccl|cudart).*"), e.getMessage());
          return null;
        });
  }

  /** With a device at hand, a generation of one runs every call. */
  @Test
  void oneRankRunsEveryCall() throws Exception {
    if (!hasDevice()) {
      abort("no GPU here");
    }
    Duration limit = Duration.ofSeconds(60);
    Ranks.run(
        1,
        hosts -> {
          try (NcclCommunicator all =
              NcclCommunicator.connect(hosts, 0, MemorySegment.NULL, limit)) {
            MemorySegment buffer = onDevice(1 << 20);
            MemorySegment other = onDevice(1 << 20);
            all.allReduce(buffer, ElementType.FLOAT32, ReduceOp.SUM).await(limit);
            all.reduce(buffer, ElementType.BFLOAT16, ReduceOp.SUM, 0).await(limit);
            all.reduceScatter(buffer, other, ElementType.INT64, ReduceOp.MAX).await(limit);
            all.allGather(buffer, other).await(limit);
            all.broadcast(buffer, 0).await(limit);
            all.barrier().await(limit);
            all.group("all", List.of(0)).allGather(buffer, other).await(limit);
            all.background().allReduce(buffer, ElementType.FLOAT32, ReduceOp.SUM).await(limit);
            all.abort("enough");
            assertThrows(CollectiveException.class, () -> all.broadcast(buffer, 0));
          }
          return null;
        });
  }

  private static MemorySegment onDevice(long bytes) {
    NativeLibrary cuda =
        new NativeLibraries(
                List.of("libcudart.so.12", "libcudart.so.13"),
                CudaRuntime.PROPERTY,
                CudaRuntime.VARIABLE)
            .open()
            .orElseThrow();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
      int result =
          cuda.function("cudaMalloc", ValueLayout.ADDRESS, ValueLayout.JAVA_LONG).call(out, bytes);
      assertEquals(0, result);
      return out.get(ValueLayout.ADDRESS, 0).reinterpret(bytes);
    }
  }

  private static boolean hasDevice() {
    Optional<CudaRuntime> cuda = CudaRuntime.open();
    if (cuda.isEmpty() || NcclLibrary.open().isEmpty()) {
      return false;
    }
    try {
      cuda.get().use(0);
      return true;
    } catch (CollectiveException e) {
      return false;
    }
  }

  private static NcclLibrary installed() {
    Optional<NcclLibrary> nccl = NcclLibrary.open();
    if (nccl.isEmpty()) {
      abort("no libnccl.so.2 is installed; %s can name one".formatted(NcclLibrary.VARIABLE));
    }
    return nccl.orElseThrow();
  }
}
