package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.ftcluster.worker.checkpoint.StateContent;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;
import org.ftcluster.worker.optimizer.Shard;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Rank 0 reads what all ranks hold between them, and has room for two pieces of it. */
class LentStateTest {
  private static final long PIECE = 1000;

  /** Three units of whole blocks, the last one without a share for every rank. */
  private static final List<Shard> UNITS =
      List.of(new Shard(0, 40_960), new Shard(40_960, 81_920), new Shard(81_920, 86_016));

  private static final long SIZE = UNITS.getLast().to();

  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void whatIsReadIsWhatRanksHold(int size) throws Exception {
    Set<Long> rooms = Collections.synchronizedSet(new HashSet<>());
    List<Long> asked = Collections.synchronizedList(new ArrayList<>());
    List<float[]> read =
        Ranks.run(
            size,
            ranks -> {
              try (OptimizerState state = state(ranks)) {
                LentState lent = lent(watched(ranks, rooms, asked), state);
                if (ranks.rank() > 0) {
                  lent.lend();
                  return new float[0];
                }
                float[] all = read(lent, StateContent.VALUE, 0, SIZE);
                // In whatever order, and by whatever bounds.
                assertArrayEquals(
                    expected(StateContent.SECOND_MOMENT, 30_001, 85_000),
                    read(lent, StateContent.SECOND_MOMENT, 30_001, 85_000));
                assertArrayEquals(
                    expected(StateContent.FIRST_MOMENT, 7, 8),
                    read(lent, StateContent.FIRST_MOMENT, 7, 8));
                assertEquals(0, read(lent, StateContent.VALUE, SIZE, SIZE).length);
                lent.giveBack();
                return all;
              }
            });
    assertArrayEquals(expected(StateContent.VALUE, 0, SIZE), read.getFirst());
    assertEquals(2, rooms.size(), "all pieces come to the same two rooms");
    assertTrue(asked.size() > 20);
    assertEquals(PIECE * Float.BYTES, Collections.max(asked));
  }

  @Test
  void aDiskThatIsFullLeavesNothingOnItsWay() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          try (OptimizerState state = state(ranks)) {
            LentState lent = lent(ranks, state);
            if (ranks.rank() > 0) {
              lent.lend();
              return null;
            }
            IOException full = new IOException("No space left on device");
            assertThrows(
                IOException.class,
                () ->
                    lent.source(StateContent.VALUE)
                        .read(
                            30_000,
                            SIZE,
                            piece -> {
                              throw full;
                            }));
            // And it is tried again.
            assertArrayEquals(
                expected(StateContent.VALUE, 30_000, SIZE),
                read(lent, StateContent.VALUE, 30_000, SIZE));
            lent.giveBack();
            return null;
          }
        });
  }

  @Test
  void aLenderThatIsLostEndsTheReading() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          try (OptimizerState state = state(ranks)) {
            LentState lent = lent(ranks, state);
            if (ranks.rank() > 0) {
              assertThrows(CollectiveException.class, lent::lend);
              return null;
            }
            int[] pieces = {0};
            CollectiveException e =
                assertThrows(
                    CollectiveException.class,
                    () ->
                        lent.source(StateContent.VALUE)
                            .read(
                                30_000,
                                SIZE,
                                piece -> {
                                  if (++pieces[0] == 5) {
                                    ranks.abort("rank 1 is lost");
                                  }
                                }));
            assertTrue(e.getMessage().contains("rank 1 is lost"), e.getMessage());
            // The next one was on its way, and may have been there.
            assertTrue(pieces[0] == 5 || pieces[0] == 6, pieces[0] + " pieces");
            return null;
          }
        });
  }

  private static LentState lent(Communicator ranks, OptimizerState state) {
    return new LentState(ranks, state.layout(), state, PIECE, Ranks.LIMIT);
  }

  private static float[] read(LentState lent, StateContent content, long from, long to) {
    float[] all = new float[(int) (to - from)];
    int[] at = {0};
    try {
      lent.source(content)
          .read(
              from,
              to,
              piece -> {
                float[] part = piece.toArray(ValueLayout.JAVA_FLOAT);
                System.arraycopy(part, 0, all, at[0], part.length);
                at[0] += part.length;
              });
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    assertEquals(all.length, at[0]);
    return all;
  }

  /** A rank's shards, which say what they are. */
  private static OptimizerState state(Communicator ranks) {
    OptimizerState state =
        new OptimizerState(new ShardLayout(UNITS, ranks.rank(), ranks.size(), true));
    for (Piece piece : state.pieces()) {
      fill(piece.values(), StateContent.VALUE, piece.shard());
      fill(piece.firstMoment(), StateContent.FIRST_MOMENT, piece.shard());
      fill(piece.secondMoment(), StateContent.SECOND_MOMENT, piece.shard());
    }
    return state;
  }

  private static void fill(MemorySegment floats, StateContent content, Shard shard) {
    for (long i = 0; i < shard.size(); i++) {
      floats.setAtIndex(ValueLayout.JAVA_FLOAT, i, number(content, shard.from() + i));
    }
  }

  private static float number(StateContent content, long parameter) {
    return (float) (parameter + content.ordinal() / 4.0);
  }

  private static float[] expected(StateContent content, long from, long to) {
    float[] all = new float[(int) (to - from)];
    for (int i = 0; i < all.length; i++) {
      all[i] = number(content, from + i);
    }
    return all;
  }

  /** Notes where rank 0 receives, and how much at once. */
  private static Communicator watched(Communicator ranks, Set<Long> rooms, List<Long> asked) {
    return (Communicator)
        Proxy.newProxyInstance(
            LentStateTest.class.getClassLoader(),
            new Class<?>[] {Communicator.class},
            (proxy, method, arguments) -> {
              if (method.getName().equals("recv") && ranks.rank() == 0) {
                MemorySegment room = (MemorySegment) arguments[0];
                rooms.add(room.address());
                asked.add(room.byteSize());
              }
              try {
                return method.invoke(ranks, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
