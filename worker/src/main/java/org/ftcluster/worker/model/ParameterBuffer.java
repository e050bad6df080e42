package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Workspace;

/**
 * All trained parameters of a rank, one after the other in one float32 buffer, and their gradients
 * likewise. One buffer makes a reduction one collective, a norm one loop, an optimizer step one
 * pass, and the state one block to send or save.
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
  private final List<Slice> slices;
  private final MemorySegment values;
  private final MemorySegment gradients;

  /** A zeroed buffer; {@code slices} follow each other without gaps. */
  public ParameterBuffer(List<Slice> slices) {
    this.slices = List.copyOf(slices);
    long size = 0;
    for (Slice slice : slices) {
      if (slice.offset() != size) {
        throw new IllegalArgumentException(
            "%s starts at %d, not %d".formatted(slice.name(), slice.offset(), size));
      }
      size += slice.size();
    }
    memory = new Workspace(2 * (size * Float.BYTES + Workspace.PAGE_BYTES));
    scope = memory.open();
    values = scope.empty(DType.FLOAT32, size).memory();
    gradients = scope.empty(DType.FLOAT32, size).memory();
  }

  public List<Slice> slices() {
    return slices;
  }

  /** Parameters, over all slices. */
  public long size() {
    return values.byteSize() / Float.BYTES;
  }

  /** float32 master weights. */
  public MemorySegment values() {
    return values;
  }

  /** float32 gradients of the micro-batch at hand. */
  public MemorySegment gradients() {
    return gradients;
  }

  @Override
  public void close() {
    scope.close();
    memory.close();
  }
}
