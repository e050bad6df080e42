package org.ftcluster.worker.parallel;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.function.Function;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.BatchPass;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.GradientListener;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.parallel.Schedule.Message;
import org.ftcluster.worker.parallel.Schedule.Turn;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * Some of a model's layers, on a rank of a pipeline: activations come from the stage before and go
 * to the stage behind, gradients the other way, while this rank computes; in the order of the
 * {@link Schedule}.
 */
public final class PipelineStage implements Replica, AutoCloseable {
  /** Of passes without a backward: one computes while another's output is on its way. */
  private static final int FORWARDS = 2;

  private final List<CausalLanguageModel> chunks;
  private final Communicator stages;
  private final Duration timeout;

  /** From the oldest: done, or forward alone, but for what may still be sent. */
  private final Queue<Slot> done = new ArrayDeque<>();

  private final Deque<Workspace> free = new ArrayDeque<>();

  private final Map<Place, Slot> inUse = new HashMap<>();

  /** A micro-batch in a chunk. */
  private record Place(int microBatch, int chunk) {}

  /**
   * @param chunks the layers of this rank's stage, in their order; other stages have as many
   * @param stages the ranks of the pipeline, by stage
   * @param timeout for each message
   */
  public PipelineStage(List<CausalLanguageModel> chunks, Communicator stages, Duration timeout) {
    this.chunks = List.copyOf(chunks);
    this.stages = stages;
    this.timeout = timeout;
  }

  /** Where a micro-batch's activations are from its forward to the end of its backward. */
  private record Slot(Workspace workspace, BatchPass pass, List<Work> sends) {
    boolean isSent() {
      return sends.stream().allMatch(Work::isDone);
    }

    void awaitSent(Duration timeout) {
      sends.forEach(send -> send.await(timeout));
      sends.clear();
    }

    Workspace drop() {
      pass.close();
      return workspace;
    }
  }

  @Override
  public List<ParameterBuffer.Slice> trained() {
    return chunks.stream().flatMap(chunk -> chunk.trained().stream()).toList();
  }

  /**
   * All copies take turns as the one with the most micro-batches does, since those of a stage may
   * share out what it holds; in turns that a copy has no micro-batch for it only accompanies them.
   */
  @Override
  public void train(List<MicroBatch> microBatches, Step step, Listener listener) {
    beforePasses();
    // All stages leave out what has nothing to learn from.
    List<MicroBatch> useful =
        microBatches.stream().filter(micro -> micro.targetCount() > 0).toList();
    Schedule schedule = new Schedule(stages.size(), chunks.size(), step.most());
    int inFlight = schedule.inFlight(stages.rank());
    Function<Place, Slot> slots =
        place -> inUse.computeIfAbsent(place, p -> begin(p, useful, step, inFlight));
    List<Turn> turns = schedule.turns(stages.rank());
    Turn last = lastBackward(turns, useful.size());
    Inbox inbox =
        new Inbox(schedule, useful.size(), stages, timeout, message -> room(message, slots));
    try {
      for (Turn turn : turns) {
        if (turn.microBatch() >= useful.size()) {
          step.stopCheck().run();
          accompany(turn, listener);
          continue;
        }
        Message needed = schedule.needed(stages.rank(), turn);
        switch (turn) {
          case Turn.Forward forward -> {
            step.stopCheck().run();
            Slot slot = slots.apply(place(forward));
            if (needed != null) {
              inbox.await(needed, before());
            }
            slot.pass().forward();
            if (schedule.sent(stages.rank(), turn) != null) {
              slot.sends().add(stages.send(slot.pass().output().address(), behind()));
            }
          }
          case Turn.Backward backward -> {
            Slot slot = slots.apply(place(backward));
            if (needed != null) {
              inbox.await(needed, behind());
              // Sent long ago, or its gradient couldn't be here; it is about to be dropped.
              slot.awaitSent(timeout);
            }
            GradientListener gradients = listener.gradients(turn.equals(last));
            double loss = slot.pass().backward(step.lossScale(), gradients);
            if (schedule.sent(stages.rank(), turn) != null) {
              slot.sends().add(stages.send(slot.pass().gradient().address(), before()));
            }
            inUse.remove(place(backward));
            done.add(slot);
            listener.done(loss);
          }
        }
      }
      done.forEach(slot -> slot.awaitSent(timeout));
    } finally {
      dropAll();
    }
  }

  /** Null where there is none. */
  private static @Nullable Turn lastBackward(List<Turn> turns, int microBatches) {
    return turns.stream()
        .filter(turn -> turn instanceof Turn.Backward && turn.microBatch() < microBatches)
        .reduce((before, turn) -> turn)
        .orElse(null);
  }

  private void accompany(Turn turn, Listener listener) {
    CausalLanguageModel chunk = chunks.get(turn.chunk());
    switch (turn) {
      case Turn.Forward forward -> chunk.accompanyForward(true);
      case Turn.Backward backward -> {
        chunk.accompanyBackward(listener.gradients(false));
        listener.nothing();
      }
    }
  }

  private void beforePasses() {
    chunks.forEach(CausalLanguageModel::beforePasses);
  }

  /** A pass that can't begin leaves its workspace to others. */
  private BatchPass begin(Workspace workspace, Function<Workspace, BatchPass> beginning) {
    try {
      return beginning.apply(workspace);
    } catch (RuntimeException | Error e) {
      free.push(workspace);
      throw e;
    }
  }

  private static Place place(Turn turn) {
    return new Place(turn.microBatch(), turn.chunk());
  }

  /** Where a message goes. */
  private MemorySegment room(Message message, Function<Place, Slot> slots) {
    int chunk = message.part() / stages.size();
    BatchPass pass = slots.apply(new Place(message.microBatch(), chunk)).pass();
    return (message.forward() ? pass.input() : pass.gradient()).address();
  }

  private Slot begin(Place place, List<MicroBatch> microBatches, Step step, int inFlight) {
    MicroBatch micro = microBatches.get(place.microBatch());
    Workspace workspace = workspace(inFlight);
    CausalLanguageModel chunk = chunks.get(place.chunk());
    long dropoutSeed = step.dropoutSeed().applyAsLong(micro);
    BatchPass pass =
        begin(workspace, w -> chunk.beginTraining(w, step.tokens().apply(micro), dropoutSeed));
    return new Slot(workspace, pass, new ArrayList<>());
  }

  /**
   * Waits for what is sent from one only where there are no chunks to take turns with: with them,
   * the stage that it goes to might be waiting for this one.
   */
  private Workspace workspace(int inFlight) {
    Slot oldest = done.peek();
    boolean wait = chunks.size() == 1 && inUse.size() + done.size() >= inFlight;
    if (oldest != null && (wait || oldest.isSent())) {
      done.remove();
      oldest.awaitSent(timeout);
      free.push(oldest.drop());
    }
    return free.isEmpty() ? chunks.getFirst().newWorkspace() : free.pop();
  }

  @Override
  public List<double[]> losses(
      List<TokenBatch> batches, int most, boolean adapted, Runnable stopCheck) {
    beforePasses();
    List<double[]> losses = new ArrayList<>();
    batches.forEach(batch -> losses.add(new double[batch.lengths().length]));
    Schedule schedule = new Schedule(stages.size(), chunks.size(), most);
    try {
      for (Turn turn : schedule.forwards(stages.rank())) {
        stopCheck.run();
        CausalLanguageModel chunk = chunks.get(turn.chunk());
        int index = turn.microBatch();
        if (index >= batches.size() || batches.get(index).targetCount() == 0) {
          chunk.accompanyForward(false); // all stages do
          continue;
        }
        Workspace workspace = workspace(FORWARDS);
        BatchPass pass =
            begin(workspace, w -> chunk.beginEvaluating(w, batches.get(index), adapted));
        Slot slot = new Slot(workspace, pass, new ArrayList<>());
        done.add(slot);
        if (schedule.needed(stages.rank(), turn) != null) {
          stages.recv(pass.input().address(), before()).await(timeout);
        }
        pass.forward();
        if (schedule.sent(stages.rank(), turn) != null) {
          slot.sends().add(stages.send(pass.output().address(), behind()));
        } else {
          losses.set(index, Arrays.copyOf(pass.losses(), losses.get(index).length));
        }
      }
      done.forEach(slot -> slot.awaitSent(timeout));
    } finally {
      dropAll();
    }
    return losses;
  }

  @Override
  public void parametersChanged() {
    chunks.forEach(CausalLanguageModel::parametersChanged);
  }

  /** The most bytes of activations that its workspaces have held. */
  public long peakActivationBytes() {
    return free.stream().mapToLong(Workspace::peakBytes).sum();
  }

  private int before() {
    return Math.floorMod(stages.rank() - 1, stages.size());
  }

  private int behind() {
    return (stages.rank() + 1) % stages.size();
  }

  private void dropAll() {
    done.addAll(inUse.values());
    inUse.clear();
    done.forEach(slot -> free.push(slot.drop()));
    done.clear();
  }

  /** Gives the activations' memory back; the model stays. */
  @Override
  public void close() {
    free.forEach(Workspace::close);
    free.clear();
  }
}
