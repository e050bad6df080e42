package org.ftcluster.worker.tensor.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import org.ftcluster.worker.tensor.Reserve;

/** Address space of a GPU, behind which memory is put piece by piece. */
final class CudaReserve implements Reserve {
  /** Pieces are small beside a GPU's memory, and large beside what it takes to make one. */
  private static final long PIECE_BYTES = 256L << 20;

  /** {@code CU_MEM_ALLOCATION_TYPE_PINNED}, {@code CU_MEM_LOCATION_TYPE_DEVICE}. */
  private static final int PINNED = 1;

  private static final int DEVICE = 1;

  /** {@code CU_MEM_ACCESS_FLAGS_PROT_READWRITE}. */
  private static final int READ_WRITE = 3;

  /** {@code CUmemAllocationProp}: type, kinds of handles, location (kind, device), and zeros. */
  private static final long PROPERTIES_BYTES = 32;

  /** {@code CUmemAccessDesc}: location (kind, device), flags. */
  private static final long ACCESS_BYTES = 12;

  private final CudaDriver driver;
  private final int device;
  private final MemorySegment region;

  /** Handles of the pieces, the last first. */
  private final Deque<Long> pieces = new ArrayDeque<>();

  CudaReserve(CudaDriver driver, int device, long bytes) {
    this.driver = driver;
    this.device = device;
    long address = driver.handle("cuMemAddressReserve", bytes, 0L, 0L, 0L);
    this.region = MemorySegment.ofAddress(address).reinterpret(bytes);
  }

  @Override
  public MemorySegment region() {
    return region;
  }

  @Override
  public void reach(long bytes) {
    while (held() < bytes) {
      add();
    }
  }

  private long held() {
    return pieces.size() * PIECE_BYTES;
  }

  private void add() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment properties = arena.allocate(PROPERTIES_BYTES, JAVA_LONG.byteSize());
      properties.set(JAVA_INT, 0, PINNED);
      properties.set(JAVA_INT, 8, DEVICE);
      properties.set(JAVA_INT, 12, device);
      long piece = driver.handle("cuMemCreate", PIECE_BYTES, properties, 0L);
      long address = region.address() + held();
      driver.call("cuMemMap", address, PIECE_BYTES, 0L, piece, 0L);
      MemorySegment access = arena.allocate(ACCESS_BYTES, JAVA_INT.byteSize());
      access.set(JAVA_INT, 0, DEVICE);
      access.set(JAVA_INT, 4, device);
      access.set(JAVA_INT, 8, READ_WRITE);
      driver.call("cuMemSetAccess", address, PIECE_BYTES, access, 1L);
      pieces.push(piece);
    }
  }

  @Override
  public void trim(long bytes) {
    while (held() - PIECE_BYTES >= bytes && !pieces.isEmpty()) {
      remove();
    }
  }

  /** Nothing that was told may still be using it. */
  private void remove() {
    driver.call("cuCtxSynchronize");
    driver.call("cuMemUnmap", region.address() + held() - PIECE_BYTES, PIECE_BYTES);
    driver.call("cuMemRelease", pieces.pop());
  }

  @Override
  public void release() {
    while (!pieces.isEmpty()) {
      remove();
    }
    driver.call("cuMemAddressFree", region.address(), region.byteSize());
  }
}
