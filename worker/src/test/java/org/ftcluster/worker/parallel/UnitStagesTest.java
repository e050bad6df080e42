package org.ftcluster.worker.parallel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

/** Stages and what they compute with. */
class UnitStagesTest {
  /** An embedding, which is the head, too, three layers, and a norm. */
  private static final UnitStages STAGES =
      new UnitStages(2, 2, List.of(List.of(0, 1), List.of(0), List.of(0), List.of(1), List.of(1)));

  @Test
  void aStageUsesWhatItBorrowsToo() {
    assertEquals(List.of(0, 1, 2), STAGES.usedBy(0));
    assertEquals(List.of(0, 3, 4), STAGES.usedBy(1));
    assertEquals(0, STAGES.owner(0));
    assertEquals(List.of(1), STAGES.borrowers(0));
    assertEquals(List.of(), STAGES.borrowers(3));
  }

  @Test
  void ranksAreThoseOfTheMesh() {
    Mesh mesh = new Mesh(3, 2, 2);
    for (int rank = 0; rank < mesh.size(); rank++) {
      Mesh.Place place = mesh.place(rank);
      assertEquals(place.stage(), STAGES.stage(rank));
      assertEquals(mesh.stageGroup(place).indexOf(rank), STAGES.place(rank));
      assertEquals(rank, STAGES.rank(STAGES.stage(rank), STAGES.place(rank)));
    }
  }
}
