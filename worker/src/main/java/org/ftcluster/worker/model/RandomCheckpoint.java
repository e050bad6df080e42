package org.ftcluster.worker.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.ftcluster.worker.safetensors.TensorView;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.Scope;

/** Model folders with random weights in bfloat16, for measurements. */
public final class RandomCheckpoint {
  private RandomCheckpoint() {}

  /**
   * Writes a model of a shape; all of its weights are in memory meanwhile.
   *
   * @param config a Hugging Face config.json
   * @param folder that is there, and empty
   * @return the weights' file
   */
  public static Path write(Path config, Path folder) throws IOException {
    Aten.initialize();
    ModelConfig shape = ModelConfigReader.read(config);
    Files.copy(config, folder.resolve("config.json"));
    Path file = folder.resolve("model.safetensors");
    try (Scope scope = Scope.persistent();
        BaseTensors random = new RandomTensors()) {
      List<TensorView> tensors =
          BaseLayout.slices(shape, shape.tiedHead()).stream()
              .map(
                  slice ->
                      new TensorView(
                          slice.name(),
                          DType.BF16,
                          slice.shape(),
                          random.get(scope, slice.name(), slice.shape()).memory()))
              .toList();
      SafetensorsWriter.write(file, tensors, Map.of("format", "pt"));
    }
    return file;
  }
}
