package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * In which order a stage of a pipeline takes the micro-batches of a step forward and backward.
 *
 * <p>One forward, one backward (arXiv:1806.03377): after as many forwards as fill the stages behind
 * it, a stage takes turns, so that it never holds the activations of more micro-batches than there
 * are stages from it to the end.
 *
 * <p>Interleaved (arXiv:2104.04473): each stage has several chunks of the model, and a micro-batch
 * goes round the stages once for each. The pipeline fills in shorter steps, so it stands still for
 * less, and holds more meanwhile. Micro-batches go in groups of about as many as there are stages:
 * all of a group take a chunk before any takes the next one.
 *
 * @param stages of the pipeline
 * @param chunks of each stage
 * @param microBatches of a step
 */
public record Schedule(int stages, int chunks, int microBatches) {
  public Schedule {
    if (stages < 1 || chunks < 1 || microBatches < 0) {
      throw new IllegalArgumentException(
          "%d stages of %d chunks, %d micro-batches".formatted(stages, chunks, microBatches));
    }
  }

  /**
   * What a stage does at a time.
   *
   * <p>Chunk c of stage s follows, in the model, chunk c of stage s - 1; that of the first stage
   * follows chunk c - 1 of the last.
   */
  public sealed interface Turn {
    int microBatch();

    int chunk();

    /** From the chunk before, to the chunk behind. */
    record Forward(int microBatch, int chunk) implements Turn {}

    /** From the chunk behind, to the chunk before. */
    record Backward(int microBatch, int chunk) implements Turn {}
  }

  /** The forwards among a stage's turns: all there is to a pass without a backward. */
  public List<Turn> forwards(int stage) {
    return turns(stage).stream().filter(Turn.Forward.class::isInstance).toList();
  }

  /** All turns of a stage. */
  public List<Turn> turns(int stage) {
    int ahead = ahead(stage);
    List<Turn> forward = forward();
    List<Turn> backward = backward();
    List<Turn> turns = new ArrayList<>(forward.subList(0, ahead));
    for (int i = 0; i < backward.size(); i++) {
      if (i + ahead < forward.size()) {
        turns.add(forward.get(i + ahead));
      }
      turns.add(backward.get(i));
    }
    return turns;
  }

  /** The most forwards whose activations a stage holds at once. */
  public int inFlight(int stage) {
    return Math.min(ahead(stage) + 1, microBatches * chunks);
  }

  /** Forwards before the first backward's. */
  private int ahead(int stage) {
    if (stage < 0 || stage >= stages) {
      throw new IllegalArgumentException("stage %d of %d".formatted(stage, stages));
    }
    int behind = stages - 1 - stage;
    int fill =
        chunks == 1 ? behind : 2 * behind + (chunks - 1) * Math.ceilDiv(microBatches, groups());
    // One forward goes ahead of each backward besides.
    return Math.min(fill, Math.max(0, microBatches * chunks - 1));
  }

  private int groups() {
    return Math.max(1, microBatches / stages);
  }

  private List<Turn> forward() {
    List<Turn> turns = new ArrayList<>();
    for (int group = 0; group < groups(); group++) {
      for (int chunk = 0; chunk < chunks; chunk++) {
        for (int i = start(group); i < start(group + 1); i++) {
          turns.add(new Turn.Forward(i, chunk));
        }
      }
    }
    return turns;
  }

  private List<Turn> backward() {
    List<Turn> turns = new ArrayList<>();
    for (int group = 0; group < groups(); group++) {
      for (int chunk = chunks - 1; chunk >= 0; chunk--) {
        for (int i = start(group); i < start(group + 1); i++) {
          turns.add(new Turn.Backward(i, chunk));
        }
      }
    }
    return turns;
  }

  private int start(int group) {
    return (int) ((long) microBatches * group / groups());
  }

  /**
   * Activations of a micro-batch on their way to a chunk, or their gradient.
   *
   * @param part the chunk's place in the model: chunk x stages + stage
   */
  public record Message(boolean forward, int microBatch, int part) {}

  /** What a stage sends after its turn; null where nobody waits for it. */
  public @Nullable Message sent(int stage, Turn turn) {
    int part = turn.chunk() * stages + stage;
    return switch (turn) {
      case Turn.Forward f ->
          part == stages * chunks - 1 ? null : new Message(true, f.microBatch(), part + 1);
      case Turn.Backward b -> part == 0 ? null : new Message(false, b.microBatch(), part - 1);
    };
  }

  /** What a stage needs for its turn; null where that is nothing. */
  public @Nullable Message needed(int stage, Turn turn) {
    int part = turn.chunk() * stages + stage;
    return switch (turn) {
      case Turn.Forward f -> part == 0 ? null : new Message(true, f.microBatch(), part);
      case Turn.Backward b ->
          part == stages * chunks - 1 ? null : new Message(false, b.microBatch(), part);
    };
  }

  /** All that a stage sends to another, in its order. */
  public List<Message> messages(int from, int to) {
    List<Message> messages = new ArrayList<>();
    for (Turn turn : turns(from)) {
      Message message = sent(from, turn);
      if (message != null && message.part() % stages == to) {
        messages.add(message);
      }
    }
    return messages;
  }
}
