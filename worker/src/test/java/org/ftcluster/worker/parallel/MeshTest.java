package org.ftcluster.worker.parallel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.parallel.Mesh.Place;
import org.junit.jupiter.api.Test;

class MeshTest {
  @Test
  void slicesOfAStageAreNeighboursThenStagesThenReplicas() {
    Mesh mesh = new Mesh(2, 3, 2);
    assertEquals(12, mesh.size());
    assertEquals(new Place(0, 0, 1), mesh.place(1));
    assertEquals(new Place(0, 1, 0), mesh.place(2));
    assertEquals(new Place(1, 0, 0), mesh.place(6));
    assertEquals(new Place(1, 2, 1), mesh.place(11));
    assertEquals(List.of(8, 9), mesh.tensorGroup(mesh.place(9)));
    assertEquals(List.of(7, 9, 11), mesh.pipelineGroup(mesh.place(9)));
    assertEquals(List.of(3, 9), mesh.dataGroup(mesh.place(9)));
    assertEquals(List.of(2, 3, 8, 9), mesh.stageGroup(mesh.place(9)));
  }

  @Test
  void everyRankHasAPlaceOfItsOwnAndIsInItsOwnGroups() {
    Mesh mesh = new Mesh(3, 2, 4);
    Set<Place> places = new HashSet<>();
    for (int rank = 0; rank < mesh.size(); rank++) {
      Place place = mesh.place(rank);
      places.add(place);
      assertEquals(rank, mesh.rank(place));
      assertEquals(rank, mesh.tensorGroup(place).get(place.tensor()));
      assertEquals(rank, mesh.pipelineGroup(place).get(place.stage()));
      assertEquals(rank, mesh.dataGroup(place).get(place.data()));
    }
    assertEquals(mesh.size(), places.size());
  }

  @Test
  void groupsAreNeighboursThatHoldEverythingBetweenThem() {
    Mesh mesh = new Mesh(4, 3, 1, 2);
    Place place = mesh.place(8); // the third replica's last stage
    assertEquals(new Place(2, 2, 0), place);
    assertEquals(List.of(6, 7, 8, 9, 10, 11), mesh.sharingGroup(place));
    assertEquals(List.of(8, 11), mesh.dataGroup(place));
    assertEquals(List.of(8, 11), mesh.stageGroup(place));
    assertEquals(List.of(2, 8), mesh.twins(place));
    assertEquals(6, mesh.groupSize());
    assertThrows(IllegalArgumentException.class, () -> new Mesh(3, 1, 1, 2));
  }

  @Test
  void ranksThatAreNoWholeNumberOfGroupsAreOne() {
    Parallel parallel = new Parallel(0, 1, 1, 1, Sharding.ZERO3, 4, true);
    assertEquals(new Mesh(8, 1, 1, 2), Mesh.of(parallel, 8));
    assertEquals(new Mesh(7, 1, 1), Mesh.of(parallel, 7));
    assertEquals(new Mesh(2, 1, 1), Mesh.of(parallel, 2));
  }

  @Test
  void aJobGetsAsManyReplicasAsThereAreRanksFor() {
    Parallel parallel = new Parallel(0, 2, 3, 1, Sharding.NONE, 0, true);
    assertEquals(new Mesh(1, 3, 2), Mesh.of(parallel, 6));
    assertEquals(new Mesh(2, 3, 2), Mesh.of(parallel, 12));
    assertThrows(IllegalArgumentException.class, () -> Mesh.of(parallel, 7));
    assertThrows(IllegalArgumentException.class, () -> Mesh.of(parallel, 3));
  }
}
