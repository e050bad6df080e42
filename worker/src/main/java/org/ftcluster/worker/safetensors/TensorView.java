package org.ftcluster.worker.safetensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * A tensor in memory that belongs to someone else: a file's mapping, or whoever has a tensor
 * written.
 *
 * @param shape empty for a scalar
 * @param data the elements, row-major and little-endian, without gaps; aligned to one byte only
 */
public record TensorView(String name, DType dtype, long[] shape, MemorySegment data)
    implements OutgoingTensor {
  public TensorView {
    if (data.byteSize() != dtype.byteSize(shape)) {
      throw new IllegalArgumentException(
          "tensor %s of %s %s takes %d bytes, not %d"
              .formatted(
                  name, dtype, Arrays.toString(shape), dtype.byteSize(shape), data.byteSize()));
    }
  }

  /** Elements of the tensor. */
  public long size() {
    return data.byteSize() / dtype.bytes();
  }

  @Override
  public void writeTo(PieceSink sink) throws IOException {
    sink.take(data);
  }
}
