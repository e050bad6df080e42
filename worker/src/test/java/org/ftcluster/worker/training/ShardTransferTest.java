package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.ftcluster.worker.optimizer.ShardedUpdate;
import org.ftcluster.worker.optimizer.Sharers;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Ranks that hold shards of the state, and what becomes of it when they are lost. */
class ShardTransferTest {
  private static final long SIZE = 20_000;
  private static final AdamW ADAM_W = new AdamW(0.9, 0.999, 1e-8, 0.1);

  private final List<ParameterBuffer> buffers = new ArrayList<>();

  @AfterEach
  void close() {
    buffers.forEach(ParameterBuffer::close);
  }

  @Test
  void aStepThatOneRankHasCompletedIsMadeUpForOnTheOthers() throws Exception {
    TrainingState whole = whole(2);

    List<TrainingState> states = states(3);
    Ranks.run(3, ranks -> step(ranks, states, 1, false));
    // The second step: rank 1 has left its share of it when it hears that rank 0 is lost.
    Ranks.run(3, ranks -> step(ranks, states, 2, true));
    assertEquals(List.of(2L, 1L, 2L), states.stream().map(TrainingState::completedStep).toList());

    List<TrainingState> left = List.of(states.get(1), states.get(2));
    Ranks.run(2, ranks -> handOver(ranks, left, 1));
    for (TrainingState state : left) {
      assertEquals(2, state.completedStep());
      assertSame(whole, state);
    }
    // And they go on.
    Ranks.run(2, ranks -> step(ranks, left, 3, false));
    assertSame(whole(3), left.getFirst());
  }

  @Test
  void aStepThatOnlyTheLostHaveCompletedIsForgotten() throws Exception {
    TrainingState whole = whole(1);
    List<TrainingState> states = states(2);
    Ranks.run(2, ranks -> step(ranks, states, 1, false));
    TrainingState interrupted = states.get(1);
    Ranks.run(2, ranks -> step(ranks, states, 2, true));

    Ranks.run(1, ranks -> handOver(ranks, List.of(interrupted), 0));
    assertEquals(1, interrupted.completedStep());
    assertSame(whole, interrupted);
  }

  @Test
  void whetherAllOfItIsLeftIsKnown() throws Exception {
    List<TrainingState> states = states(3);
    Ranks.run(3, ranks -> step(ranks, states, 1, false));
    assertTrue(isWhole(List.of(states.get(0), states.get(2))));
    assertFalse(isWhole(List.of(states.get(2))));
    assertTrue(isWhole(List.of(states.get(2), newcomer(), states.get(1))));
  }

  private boolean isWhole(List<TrainingState> states) throws Exception {
    List<Boolean> found = Ranks.run(states.size(), ranks -> transfer(ranks, states).isWhole(0));
    assertEquals(1, found.stream().distinct().count());
    return found.getFirst();
  }

  private static Void handOver(Communicator ranks, List<TrainingState> states, int source) {
    transfer(ranks, states).from(source);
    return null;
  }

  private static ShardTransfer transfer(Communicator ranks, List<TrainingState> states) {
    ShardLayout layout = new ShardLayout(SIZE, ranks.rank(), ranks.size(), true);
    return new ShardTransfer(ranks, states.get(ranks.rank()), layout, 7, Ranks.LIMIT);
  }

  /**
   * @param interrupted whether rank 1 doesn't hear what the others have computed
   */
  private static Void step(
      Communicator ranks, List<TrainingState> states, int step, boolean interrupted) {
    TrainingState state = states.get(ranks.rank());
    boolean deaf = interrupted && ranks.rank() == 1;
    gradients(state, step);
    ParameterUpdate update =
        new ShardedUpdate(
            ADAM_W,
            state.parameters(),
            state.optimizer(),
            sharers(deaf ? deaf(ranks) : ranks),
            false,
            Ranks.LIMIT);
    if (deaf) {
      assertThrows(CollectiveException.class, () -> update.apply(at(step)));
    } else {
      update.apply(at(step));
      state.completed(progress(step));
    }
    return null;
  }

  private static Sharers sharers(Communicator ranks) {
    return new Sharers(ranks, ranks, ranks, ranks.group("alone", List.of(ranks.rank())));
  }

  /** Takes part, and then fails. */
  private static Communicator deaf(Communicator ranks) {
    return (Communicator)
        Proxy.newProxyInstance(
            ShardTransferTest.class.getClassLoader(),
            new Class<?>[] {Communicator.class},
            (proxy, method, arguments) -> {
              try {
                Object result = method.invoke(ranks, arguments);
                if (result instanceof Work work && method.getName().equals("allGather")) {
                  work.await(Ranks.LIMIT);
                  throw new CollectiveException("lost rank 0");
                }
                return result;
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  /** What one rank comes to. */
  private TrainingState whole(int steps) {
    TrainingState state = new TrainingState(parameters());
    for (int step = 1; step <= steps; step++) {
      gradients(state, step);
      ADAM_W.update(state.parameters(), state.optimizer(), at(step));
    }
    return state;
  }

  private List<TrainingState> states(int ranks) {
    List<TrainingState> states = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      TrainingState state =
          new TrainingState(
              parameters(), new OptimizerState(new ShardLayout(SIZE, rank, ranks, true)));
      state.completed(progress(0));
      states.add(state);
    }
    return states;
  }

  private TrainingState newcomer() {
    return new TrainingState(parameters(), OptimizerState.none(SIZE, null));
  }

  private ParameterBuffer parameters() {
    ParameterBuffer parameters =
        new ParameterBuffer(
            List.of(
                new ParameterBuffer.Slice("a", new long[] {100, 99}, 0),
                new ParameterBuffer.Slice("b", new long[] {SIZE - 9900}, 9900)));
    fill(parameters.values(), 0);
    buffers.add(parameters);
    return parameters;
  }

  private static void gradients(TrainingState state, int step) {
    fill(state.parameters().gradients(), step);
  }

  private static void fill(MemorySegment floats, long seed) {
    Random random = new Random(seed);
    for (long i = 0; i < SIZE; i++) {
      floats.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
  }

  private static AdamW.At at(int step) {
    return new AdamW.At(step, 0.01, 0.5f);
  }

  private static Progress progress(long step) {
    return new Progress(step, Double.NaN, List.of(), 0, 0, 0, null);
  }

  private static void assertSame(TrainingState whole, TrainingState state) {
    assertArrayEquals(
        floats(whole.parameters().values()), floats(state.parameters().values()), "parameters");
    for (Piece piece : state.optimizer().pieces()) {
      assertArrayEquals(
          floats(piece.shard().of(whole.optimizer().firstMoment())), floats(piece.firstMoment()));
      assertArrayEquals(
          floats(piece.shard().of(whole.optimizer().secondMoment())), floats(piece.secondMoment()));
    }
  }

  private static float[] floats(MemorySegment segment) {
    return segment.toArray(ValueLayout.JAVA_FLOAT);
  }
}
