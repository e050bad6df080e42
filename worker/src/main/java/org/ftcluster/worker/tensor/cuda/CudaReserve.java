package org.ftcluster.worker.tensor.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.ftcluster.worker.tensor.Reserve;

/** Address space of a GPU, behind which memory is put piece by piece. */
final class CudaReserve implements Reserve {
  private static final long PIECE_BYTES = DEVICE_PAGE_BYTES;

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

  /** Handles of the pieces that there are, by their numbers. */
  private final NavigableMap<Long, Long> pieces = new TreeMap<>();

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
  public long pageBytes() {
    return PIECE_BYTES;
  }

  @Override
  public void reach(long from, long to) {
    for (long piece = from / PIECE_BYTES; piece * PIECE_BYTES < to; piece++) {
      pieces.computeIfAbsent(piece, this::newPiece);
    }
  }

  private long newPiece(long number) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment properties = arena.allocate(PROPERTIES_BYTES, JAVA_LONG.byteSize());
      properties.set(JAVA_INT, 0, PINNED);
      properties.set(JAVA_INT, 8, DEVICE);
      properties.set(JAVA_INT, 12, device);
      long piece = driver.handle("cuMemCreate", PIECE_BYTES, properties, 0L);
      long address = address(number);
      driver.call("cuMemMap", address, PIECE_BYTES, 0L, piece, 0L);
      MemorySegment access = arena.allocate(ACCESS_BYTES, JAVA_INT.byteSize());
      access.set(JAVA_INT, 0, DEVICE);
      access.set(JAVA_INT, 4, device);
      access.set(JAVA_INT, 8, READ_WRITE);
      driver.call("cuMemSetAccess", address, PIECE_BYTES, access, 1L);
      return piece;
    }
  }

  private long address(long number) {
    return region.address() + number * PIECE_BYTES;
  }

  @Override
  public void giveBack(long offset, long bytes) {
    remove(pieces.subMap(Math.ceilDiv(offset, PIECE_BYTES), (offset + bytes) / PIECE_BYTES));
  }

  @Override
  public void trim(long bytes) {
    remove(pieces.tailMap(Math.ceilDiv(bytes, PIECE_BYTES)));
  }

  /** Waits for all that was told, which may still be using them. */
  private void remove(Map<Long, Long> some) {
    if (some.isEmpty()) {
      return;
    }
    driver.call("cuCtxSynchronize");
    some.forEach(
        (number, piece) -> {
          driver.call("cuMemUnmap", address(number), PIECE_BYTES);
          driver.call("cuMemRelease", piece);
        });
    some.clear();
  }

  @Override
  public void release() {
    remove(pieces);
    driver.call("cuMemAddressFree", region.address(), region.byteSize());
  }
}
