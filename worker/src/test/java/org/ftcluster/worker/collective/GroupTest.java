package org.ftcluster.worker.collective;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.junit.jupiter.api.Test;

/** Some of a generation's ranks among themselves. */
class GroupTest {
  /** Four ranks in two rows and two columns. */
  private record Grid(Communicator all, Communicator row, Communicator column) {
    static Grid of(Communicator all) {
      int r = all.rank();
      return new Grid(
          all,
          all.group("row", r < 2 ? List.of(0, 1) : List.of(2, 3)),
          all.group("column", r % 2 == 0 ? List.of(0, 2) : List.of(1, 3)));
    }
  }

  @Test
  void operationsStayAmongItsRanks() throws Exception {
    List<long[]> results =
        Ranks.run(
            4,
            ranks -> {
              Grid grid = Grid.of(ranks);
              assertEquals(2, grid.row().size());
              assertEquals(ranks.rank() % 2, grid.row().rank());
              assertEquals(ranks.rank() / 2, grid.column().rank());
              MemorySegment row = longs(1L << ranks.rank());
              MemorySegment column = longs(1L << ranks.rank());
              MemorySegment all = longs(1L << ranks.rank());
              MemorySegment fromRoot = longs(ranks.rank());
              grid.row().allReduce(row, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
              grid.column().allReduce(column, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
              grid.all().allReduce(all, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
              grid.row().broadcast(fromRoot, 1).await(LIMIT);
              return new long[] {get(row), get(column), get(all), get(fromRoot)};
            });
    assertArrayEquals(new long[] {0b0011, 0b0101, 0b1111, 1}, results.get(0));
    assertArrayEquals(new long[] {0b0011, 0b1010, 0b1111, 1}, results.get(1));
    assertArrayEquals(new long[] {0b1100, 0b0101, 0b1111, 3}, results.get(2));
    assertArrayEquals(new long[] {0b1100, 0b1010, 0b1111, 3}, results.get(3));
  }

  @Test
  void messagesGoToTheGroupsRank() throws Exception {
    List<Long> results =
        Ranks.run(
            4,
            ranks -> {
              Communicator column = Grid.of(ranks).column();
              MemorySegment own = longs(ranks.rank());
              MemorySegment other = longs(-1);
              Work sent = column.send(own, 1 - column.rank());
              column.recv(other, 1 - column.rank()).await(LIMIT);
              sent.await(LIMIT);
              return get(other);
            });
    assertEquals(List.of(2L, 3L, 0L, 1L), results);
  }

  @Test
  void aRankThatIsLostEndsGroupsThatItIsNoPartOf() throws Exception {
    List<String> ends =
        Ranks.run(
            4,
            ranks -> {
              Grid grid = Grid.of(ranks);
              if (ranks.rank() == 3) {
                ranks.abort("rank 3 is gone");
                return "";
              }
              MemorySegment buffer = longs(1);
              CollectiveException e =
                  assertThrows(
                      CollectiveException.class,
                      () -> {
                        while (true) {
                          grid.row()
                              .allReduce(buffer, ElementType.INT64, ReduceOp.SUM)
                              .await(LIMIT);
                        }
                      });
              return String.valueOf(e.getMessage());
            });
    for (String end : ends.subList(0, 3)) {
      assertTrue(end.contains("rank 3 is gone"), end);
    }
  }

  @Test
  void ranksThatUseDifferentGroupsLearnIt() throws Exception {
    List<String> ends =
        Ranks.run(
            2,
            ranks -> {
              Communicator group = ranks.group(ranks.rank() == 0 ? "one" : "two", List.of(0, 1));
              CollectiveException e =
                  assertThrows(CollectiveException.class, () -> group.barrier().await(LIMIT));
              return String.valueOf(e.getMessage());
            });
    assertTrue(ends.stream().anyMatch(end -> end.contains("ranks disagree")), ends.toString());
  }

  @Test
  void aGroupIsOfRanksThatThereAreThisOneAmongThem() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          for (List<Integer> wrong :
              List.of(List.of(1 - ranks.rank()), List.of(0, 1, 2), List.of(0, 1, 1))) {
            assertThrows(IllegalArgumentException.class, () -> ranks.group("wrong", wrong));
          }
          MemorySegment buffer = longs(7);
          ranks
              .group("alone", List.of(ranks.rank()))
              .allReduce(buffer, ElementType.INT64, ReduceOp.SUM)
              .await(LIMIT);
          assertEquals(7, get(buffer));
          return 0;
        });
  }

  private static MemorySegment longs(long value) {
    MemorySegment buffer = Arena.ofAuto().allocate(ValueLayout.JAVA_LONG);
    buffer.set(ValueLayout.JAVA_LONG, 0, value);
    return buffer;
  }

  private static long get(MemorySegment buffer) {
    return buffer.get(ValueLayout.JAVA_LONG, 0);
  }
}
