package org.ftcluster.worker.safetensors;

import java.io.IOException;

/**
 * A tensor whose elements are put together while they are written, so that it needn't be in memory
 * as a whole.
 *
 * @param content hands over the elements
 */
public record StreamedTensor(String name, DType dtype, long[] shape, Content content)
    implements OutgoingTensor {
  /** See {@link OutgoingTensor#writeTo}. */
  @FunctionalInterface
  public interface Content {
    void writeTo(PieceSink sink) throws IOException;
  }

  @Override
  public void writeTo(PieceSink sink) throws IOException {
    content.writeTo(sink);
  }
}
