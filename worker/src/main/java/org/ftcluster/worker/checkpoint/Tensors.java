package org.ftcluster.worker.checkpoint;

import java.nio.file.Path;
import java.util.Arrays;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.TensorView;

/** Parameters as tensors of a file. */
final class Tensors {
  private Tensors() {}

  static void checkShape(Path file, TensorView tensor, ParameterBuffer.Slice slice) {
    if (!Arrays.equals(tensor.shape(), slice.shape())) {
      throw new CheckpointException(
          "%s: tensor %s is %s, but the model's is %s."
              .formatted(
                  file,
                  tensor.name(),
                  Arrays.toString(tensor.shape()),
                  Arrays.toString(slice.shape())));
    }
  }
}
