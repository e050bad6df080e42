package org.ftcluster.worker.model;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.FiledMemory;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * All trained parameters of a rank, one after the other in one float32 buffer, and their gradients
 * likewise. Values may lie on a disk ({@link FiledMemory}) where layers compute with copies of
 * them. One buffer makes a reduction one collective, a norm one loop, an optimizer step one pass,
 * and the state one block to send or save.
 */
public final class ParameterBuffer implements AutoCloseable {
  /**
   * A named tensor inside the buffer.
   *
   * @param name as PEFT names it, e.g. {@code
   *     base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight}
   * @param offset in elements
   */
  public record Slice(String name, long[] shape, long offset) {
    /** Elements of this tensor. */
    public long size() {
      long size = 1;
      for (long dimension : shape) {
        size *= dimension;
      }
      return size;
    }

    /** This tensor's part of a float32 buffer that is laid out like the parameters. */
    public MemorySegment of(MemorySegment buffer) {
      return buffer.asSlice(offset * Float.BYTES, size() * Float.BYTES);
    }

    /** Whether weight decay applies: to matrices, as in Transformers, not to norms and biases. */
    public boolean decays() {
      return shape.length > 1;
    }
  }

  /** Reserved, so that memory is only taken where it is written. */
  private final Workspace memory;

  private final Scope scope;
  private final Arena files = Arena.ofShared();
  private final List<Slice> slices;
  private final MemorySegment values;
  private final MemorySegment gradients;

  /** Null where layers compute with what is here. */
  private @Nullable DeviceParameters device;

  /**
   * A zeroed buffer in memory; {@code slices} follow each other, with gaps of less than a block.
   */
  public ParameterBuffer(List<Slice> slices) {
    this(slices, null);
  }

  /**
   * The same.
   *
   * @param valuesIn the folder on whose disk values are to lie; null for memory
   * @throws org.ftcluster.protocol.job.BadJobException when they can't
   */
  ParameterBuffer(List<Slice> slices, @Nullable Path valuesIn) {
    this.slices = List.copyOf(slices);
    long size = 0;
    for (Slice slice : slices) {
      if (slice.offset() < size || slice.offset() >= size + ParameterUnit.BLOCK) {
        throw new IllegalArgumentException(
            "%s starts at %d, not at %d or soon after"
                .formatted(slice.name(), slice.offset(), size));
      }
      size = slice.offset() + slice.size();
    }
    MemorySegment filed =
        valuesIn == null || DryRun.isOn()
            ? null
            : FiledMemory.allocate(files, valuesIn, "trained values", size * Float.BYTES);
    memory = new Workspace(2 * (size * Float.BYTES + Workspace.PAGE_BYTES));
    scope = memory.open();
    values = filed == null ? scope.empty(DType.FLOAT32, size).memory() : filed;
    gradients = scope.empty(DType.FLOAT32, size).memory();
  }

  public List<Slice> slices() {
    return slices;
  }

  /** Parameters, over all slices, with the gaps between them. */
  public long size() {
    return values.byteSize() / Float.BYTES;
  }

  /** float32 master weights. */
  public MemorySegment values() {
    return values;
  }

  /** float32 gradients of the micro-batch at hand, as far as they come here. */
  public MemorySegment gradients() {
    return gradients;
  }

  /** The copy that layers compute with, which goes with this; made when it is first asked for. */
  public DeviceParameters on(Accelerator accelerator) {
    DeviceParameters copy = device;
    if (copy == null) {
      copy = new DeviceParameters(this, accelerator);
      device = copy;
    }
    return copy;
  }

  /** The copy that layers compute with; null where they compute with what is here. */
  public @Nullable DeviceParameters device() {
    return device;
  }

  /**
   * Gives the memory of values and gradients back, and any copy, for a rank that has shares of them
   * elsewhere: what they hold is lost, and no layer may use it any more.
   */
  public void release() {
    memory.clear();
    FiledMemory.letGo(values);
    closeCopy();
  }

  private void closeCopy() {
    if (device != null) {
      device.close();
      device = null;
    }
  }

  @Override
  public void close() {
    closeCopy();
    scope.close();
    memory.close();
    files.close();
  }
}
