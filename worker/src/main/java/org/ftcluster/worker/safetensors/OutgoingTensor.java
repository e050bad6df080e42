package org.ftcluster.worker.safetensors;

import java.io.IOException;

/** A tensor that is to be written, wherever its elements are. */
public interface OutgoingTensor {
  String name();

  DType dtype();

  /** Empty for a scalar. */
  long[] shape();

  /** Hands over all elements, row-major and little-endian, without gaps. */
  void writeTo(PieceSink sink) throws IOException;
}
