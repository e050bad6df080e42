package org.ftcluster.worker.model;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.safetensors.SafetensorsFolder;
import org.ftcluster.worker.safetensors.TensorView;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** The weights of a Hugging Face model folder, mapped into memory. */
record FolderTensors(Path folder, SafetensorsFolder files) implements BaseTensors {
  static FolderTensors open(Path folder) {
    return new FolderTensors(folder, SafetensorsFolder.open(folder));
  }

  /**
   * What the files call a tensor: language models that are parts of others have longer names there,
   * which of two depends on who wrote them.
   */
  private String stored(String name) {
    return Stream.of("language_model." + name, name.replaceFirst("^model", "model.language_model"))
        .filter(files::contains)
        .findFirst()
        .orElse(name);
  }

  @Override
  public boolean contains(String name) {
    return files.contains(stored(name));
  }

  @Override
  public Tensor get(Scope scope, String asked, long... shape) {
    String name = stored(asked);
    if (!files.contains(name)) {
      throw new BadJobException(
          "%s has no tensor %s, which its config.json asks for".formatted(folder, name));
    }
    TensorView view = files.get(name);
    if (!Arrays.equals(view.shape(), shape)) {
      throw new BadJobException(
          "%s: tensor %s has shape %s, but config.json asks for %s"
              .formatted(folder, name, Arrays.toString(view.shape()), Arrays.toString(shape)));
    }
    DType type =
        view.dtype()
            .computed()
            .orElseThrow(
                () ->
                    new BadJobException(
                        "%s: tensor %s is of type %s; a base model's weights must be F32, F16 or BF16"
                            .formatted(folder, name, view.dtype())));
    return scope.wrap(view.data(), type, shape);
  }

  @Override
  public void close() {
    files.close();
  }
}
