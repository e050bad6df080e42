package org.ftcluster.worker.parallel;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.BatchPass;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.parallel.Schedule.Turn;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * Some of a model's layers, on a rank of a pipeline: activations come from the stage before and go
 * to the stage behind, gradients the other way, while this rank computes; in the order of the
 * {@link Schedule}.
 */
public final class PipelineStage implements Replica, AutoCloseable {
  private final CausalLanguageModel model;
  private final Communicator stages;
  private final Duration timeout;
  private final List<Slot> slots = new ArrayList<>();

  /**
   * @param model the layers of this rank's stage
   * @param stages the ranks of the pipeline, by stage
   * @param timeout for each message
   */
  public PipelineStage(CausalLanguageModel model, Communicator stages, Duration timeout) {
    this.model = model;
    this.stages = stages;
    this.timeout = timeout;
  }

  /** Where a micro-batch's activations are from its forward to the end of its backward. */
  private static final class Slot {
    private final Workspace workspace = Workspace.ofMachine();
    private @Nullable BatchPass pass;
    private final List<Work> sends = new ArrayList<>();

    BatchPass pass() {
      if (pass == null) {
        throw new IllegalStateException("a backward without a forward");
      }
      return pass;
    }

    void empty(Duration timeout) {
      sends.forEach(send -> send.await(timeout));
      drop();
    }

    void drop() {
      sends.clear();
      if (pass != null) {
        pass.close();
        pass = null;
      }
    }
  }

  @Override
  public void train(List<MicroBatch> microBatches, Step step, Listener listener) {
    // All stages leave out what has nothing to learn from.
    List<MicroBatch> useful =
        microBatches.stream().filter(micro -> micro.targetCount() > 0).toList();
    try {
      for (Turn turn : Schedule.of(stages.rank(), stages.size(), useful.size())) {
        Slot slot = slot(turn.microBatch());
        switch (turn) {
          case Turn.Forward forward -> {
            step.stopCheck().run();
            MicroBatch micro = useful.get(forward.microBatch());
            slot.empty(timeout);
            slot.pass =
                model.beginTraining(
                    slot.workspace, micro.tokens(), step.dropoutSeed().applyAsLong(micro));
            forward(slot);
          }
          case Turn.Backward ignored -> listener.done(backward(slot, step.lossScale()));
        }
      }
      slots.forEach(slot -> slot.empty(timeout));
    } finally {
      slots.forEach(Slot::drop);
    }
  }

  @Override
  public double lossSum(TokenBatch batch) {
    if (batch.targetCount() == 0) {
      return 0;
    }
    Slot slot = slot(0);
    try {
      slot.pass = model.beginEvaluating(slot.workspace, batch);
      forward(slot);
      double loss = isLast() ? slot.pass().loss() : 0;
      slot.empty(timeout);
      return loss;
    } finally {
      slot.drop();
    }
  }

  /** Copies of stages share nothing out. */
  @Override
  public void accompany() {}

  @Override
  public void parametersChanged() {
    model.parametersChanged();
  }

  private void forward(Slot slot) {
    BatchPass pass = slot.pass();
    if (!isFirst()) {
      receive(pass.input(), stages.rank() - 1);
    }
    pass.forward();
    if (!isLast()) {
      slot.sends.add(stages.send(pass.output().memory(), stages.rank() + 1));
    }
  }

  /** Returns the sum of the losses, on the last stage. */
  private double backward(Slot slot, double lossScale) {
    BatchPass pass = slot.pass();
    if (!isLast()) {
      receive(pass.gradient(), stages.rank() + 1);
      // Sent long ago, or its gradient couldn't be here; what it holds is about to be dropped.
      slot.sends.forEach(send -> send.await(timeout));
      slot.sends.clear();
    }
    double loss = pass.backward(lossScale);
    if (!isFirst()) {
      slot.sends.add(stages.send(pass.gradient().memory(), stages.rank() - 1));
    }
    return loss;
  }

  private void receive(Tensor target, int stage) {
    stages.recv(target.memory(), stage).await(timeout);
  }

  /** Micro-batches that a stage has room for. */
  public static int slots(int stage, int stages) {
    return Schedule.inFlight(stage, stages, Integer.MAX_VALUE);
  }

  private Slot slot(int microBatch) {
    int count = slots(stages.rank(), stages.size());
    while (slots.size() < count) {
      slots.add(new Slot());
    }
    return slots.get(microBatch % count);
  }

  private boolean isFirst() {
    return stages.rank() == 0;
  }

  private boolean isLast() {
    return stages.rank() == stages.size() - 1;
  }

  /** Gives the activations' memory back; the model stays. */
  @Override
  public void close() {
    for (Slot slot : slots) {
      slot.drop();
      slot.workspace.close();
    }
    slots.clear();
  }
}
