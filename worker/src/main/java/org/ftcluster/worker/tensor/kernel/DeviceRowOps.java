package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.Tensor;

/** {@link RowOps} on an accelerator; the callers have checked what is the same on the host. */
final class DeviceRowOps {
  private static final String FILE = "rows";

  private DeviceRowOps() {}

  static void gather(Tensor to, Tensor from, int[] rows) {
    int width = DeviceRows.width(to, from);
    MemorySegment places = to.device().scratch().upload(rows);
    DeviceRows.run(
        Cost.through("gather", to, to),
        to,
        kernel("rows_gather", to, from),
        rows.length,
        to,
        to.stride(0),
        from,
        from.stride(0),
        places,
        width,
        DeviceRows.wide(width, to, from));
  }

  static void scatterAdd(Tensor to, Tensor from, int[] rows) {
    int width = DeviceRows.width(to, from);
    Groups groups = Groups.of(rows);
    Scratch scratch = to.device().scratch();
    MemorySegment targets = scratch.upload(groups.targets());
    MemorySegment starts = scratch.upload(groups.starts());
    MemorySegment sources = scratch.upload(groups.sources());
    DeviceRows.run(
        Cost.through("scatter", from, from, from),
        to,
        kernel("rows_scatter_add", to, from),
        groups.targets().length,
        to,
        to.stride(0),
        from,
        from.stride(0),
        targets,
        starts,
        sources,
        width,
        DeviceRows.wide(width, to, from));
  }

  /**
   * Rows by the target that they go to.
   *
   * @param targets each once
   * @param starts of each target's rows among {@code sources}, and where the last's end
   * @param sources in their order within a target
   */
  record Groups(int[] targets, int[] starts, int[] sources) {
    static Groups of(int[] rows) {
      long[] keys = new long[rows.length];
      for (int i = 0; i < rows.length; i++) {
        keys[i] = (long) rows[i] << Integer.SIZE | i;
      }
      Arrays.sort(keys);
      int[] targets = new int[rows.length];
      int[] starts = new int[rows.length + 1];
      int[] sources = new int[rows.length];
      int count = 0;
      for (int i = 0; i < keys.length; i++) {
        int target = (int) (keys[i] >> Integer.SIZE);
        sources[i] = (int) keys[i];
        if (count == 0 || targets[count - 1] != target) {
          targets[count] = target;
          starts[count++] = i;
        }
      }
      starts[count] = rows.length;
      return new Groups(Arrays.copyOf(targets, count), Arrays.copyOf(starts, count + 1), sources);
    }
  }

  static void sumRows(Tensor sums, Tensor from) {
    int width = DeviceRows.width(from);
    if (sums.rank() != 1 || sums.size(0) != width || sums.dtype() != DType.FLOAT32) {
      throw new IllegalArgumentException("%d sums of columns in %s".formatted(width, sums));
    }
    DeviceRows.run(
        Cost.through("bias gradient", from),
        from,
        new Kernel(FILE, "rows_sum", from.dtype()),
        DeviceRows.blocksFor(from, width),
        sums,
        from,
        from.stride(0),
        from.size(0),
        width);
  }

  static void add(Tensor to, Tensor from) {
    twoMatrices(Cost.through("add", to, to, from), "rows_add", to, from);
  }

  static void convert(Tensor to, Tensor from) {
    twoMatrices(Cost.through("convert", to, from), "rows_convert", to, from);
  }

  private static void twoMatrices(Cost cost, String name, Tensor to, Tensor from) {
    int width = DeviceRows.width(to, from);
    DeviceRows.run(
        cost,
        to,
        kernel(name, to, from),
        to.size(0),
        to,
        to.stride(0),
        from,
        from.stride(0),
        width,
        DeviceRows.wide(width, to, from));
  }

  /**
   * @param add to what is there
   */
  static void drop(Tensor to, Tensor from, Dropout.Mask mask, boolean add) {
    int width = DeviceRows.width(to, from);
    DeviceRows.run(
        add ? Cost.through("dropout", to, to, from) : Cost.through("dropout", to, from),
        to,
        kernel("rows_drop", to, from),
        to.size(0),
        to,
        to.stride(0),
        from,
        from.stride(0),
        width,
        add ? 1 : 0,
        mask.threshold(),
        mask.scale(),
        mask.seed(),
        mask.firstColumn(),
        mask.width());
  }

  static void fill(Tensor to, Tensor vector) {
    int width = DeviceRows.width(to);
    if (vector.rank() != 1 || vector.elements() != width || !vector.isContiguous()) {
      throw new IllegalArgumentException("%s for rows of %s".formatted(vector, to));
    }
    DeviceRows.run(
        Cost.through("fill", to),
        to,
        kernel("rows_fill", to, vector),
        to.size(0),
        to,
        to.stride(0),
        vector,
        width,
        DeviceRows.wide(width, to, vector));
  }

  private static Kernel kernel(String name, Tensor to, Tensor from) {
    return new Kernel(FILE, name, to.dtype(), from.dtype());
  }
}
