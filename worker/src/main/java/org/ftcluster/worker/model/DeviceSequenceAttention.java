package org.ftcluster.worker.model;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.model.SequenceAttention.Saved;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.FlashAttention;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.TorchCuda;
import org.ftcluster.worker.tensor.kernel.DeviceAttention;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * {@link SequenceAttention} on an accelerator, all sequences of a batch at once: by libtorch's
 * flash kernels where they take it, by our own in float32, or where scores are capped.
 */
final class DeviceSequenceAttention {
  /** What flash kernels want heads to be multiples of. */
  private static final int FLASH_MULTIPLE = 8;

  private final ModelConfig config;

  DeviceSequenceAttention(ModelConfig config) {
    this.config = config;
  }

  /** As {@link SequenceAttention#forward}. */
  Saved forward(Pass pass, Scope scope, Tensor attended, QueryKeyValue in) {
    if (!takesFlash(in.q())) {
      Tensor logSumExp = scope.empty(DType.FLOAT32, attended.size(0) * config.heads());
      DeviceAttention.forward(shape(pass), attended, logSumExp, in.q(), in.k(), in.v());
      return new Saved.Statistics(logSumExp);
    }
    if (DryRun.isOn()) {
      scope.empty(DType.FLOAT32, config.heads(), attended.size(0)); // in libtorch's own memory
    }
    try (Scope temporary = pass.workspace().open()) {
      FlashAttention.Result result =
          FlashAttention.forward(
              scope,
              temporary,
              sequences(pass, temporary),
              heads(in.q()),
              heads(in.k()),
              heads(in.v()));
      RowOps.copy(attended, rows(result.output(), attended));
      return new Saved.Flash(result.saved());
    }
  }

  /** As {@link SequenceAttention#backward}. */
  void backward(
      Pass pass,
      QueryKeyValue gradients,
      Tensor gradient,
      Tensor attended,
      QueryKeyValue in,
      Saved saved) {
    switch (saved) {
      case Saved.Statistics(Tensor logSumExp) ->
          DeviceAttention.backward(
              shape(pass),
              gradients.q(),
              gradients.k(),
              gradients.v(),
              gradient,
              attended,
              logSumExp,
              in.q(),
              in.k(),
              in.v());
      case Saved.Flash(FlashAttention.Saved kept) -> {
        try (Scope temporary = pass.workspace().open()) {
          Aten.AttentionGradient result =
              FlashAttention.backward(
                  temporary,
                  sequences(pass, temporary),
                  heads(gradient),
                  heads(in.q()),
                  heads(in.k()),
                  heads(in.v()),
                  heads(attended),
                  kept);
          RowOps.copy(gradients.q(), rows(result.query(), gradients.q()));
          RowOps.copy(gradients.k(), rows(result.key(), gradients.k()));
          RowOps.copy(gradients.v(), rows(result.value(), gradients.v()));
        }
      }
    }
  }

  private boolean takesFlash(Tensor q) {
    return q.dtype() == DType.BFLOAT16
        && q.device().torchDeviceType() == TorchCuda.DEVICE_TYPE
        && !config.scores().areCapped()
        && config.headSize() % FLASH_MULTIPLE == 0;
  }

  private DeviceAttention.Shape shape(Pass pass) {
    return new DeviceAttention.Shape(
        pass.lengths(),
        config.heads(),
        config.groupSize(),
        config.headSize(),
        config.slidingWindow(),
        config.scores());
  }

  private FlashAttention.Sequences sequences(Pass pass, Scope scope) {
    int[] starts = new int[pass.lengths().length + 1];
    for (int i = 0; i < pass.lengths().length; i++) {
      starts[i + 1] = starts[i] + pass.lengths()[i];
    }
    Tensor tensor = scope.empty(DType.INT32, starts.length);
    try (Arena arena = Arena.ofConfined()) {
      tensor.device().upload(tensor.address(), arena.allocateFrom(ValueLayout.JAVA_INT, starts));
    }
    return new FlashAttention.Sequences(
        tensor, pass.longest(), config.slidingWindow(), config.scores().scale());
  }

  /** [T, heads C] as [T, heads, C]. */
  private Tensor heads(Tensor x) {
    return x.view(x.size(0), x.size(1) / config.headSize(), config.headSize());
  }

  /** [T, heads, C] as [T, heads C]. */
  private static Tensor rows(Tensor x, Tensor like) {
    return x.view(like.shape());
  }
}
