package org.ftcluster.worker.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.worker.safetensors.PieceSink;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.FiledMemory;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** A base model's own weights as float32, from which full fine-tuning begins. */
public final class BaseValues implements FloatSource, AutoCloseable {
  private final BaseTensors base;
  private final FloatSource values;

  /**
   * @param base closed with this
   * @param tensors those that are trained
   */
  BaseValues(BaseTensors base, List<ParameterBuffer.Slice> tensors) {
    this.base = base;
    this.values = FloatSource.of(tensors, this::read);
  }

  /** Of a model folder. */
  public static BaseValues open(Path folder, List<ParameterBuffer.Slice> tensors) {
    Aten.initialize();
    return new BaseValues(FolderTensors.open(folder), tensors);
  }

  @Override
  public void read(long from, long to, PieceSink sink) throws IOException {
    values.read(from, to, sink);
  }

  private void read(ParameterBuffer.Slice tensor, long from, long to, PieceSink sink)
      throws IOException {
    try (Scope temporary = Scope.persistent()) {
      Tensor stored = base.get(temporary, tensor.name(), tensor.shape()).view(tensor.size());
      Tensor room = temporary.empty(DType.FLOAT32, Math.min(PIECE, to - from));
      for (long at = from; at < to; at += PIECE) {
        long end = Math.min(to, at + PIECE);
        Tensor piece = room.slice(0, 0, end - at);
        Tensor part = stored.slice(0, at, end);
        Aten.copy(piece, part);
        FiledMemory.letGo(part.memory());
        sink.take(piece.memory());
      }
    }
  }

  @Override
  public void close() {
    base.close();
  }
}
