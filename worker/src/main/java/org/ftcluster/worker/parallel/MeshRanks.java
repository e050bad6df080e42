package org.ftcluster.worker.parallel;

import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.parallel.Mesh.Place;

/**
 * The ranks of a generation in their mesh, as one of them sees them.
 *
 * @param all of them
 * @param background all of them once more, see {@link Communicator#background}
 * @param slices the ranks that hold the slices of this rank's layers
 * @param copies the ranks that hold the same of the model, of the group
 * @param stages the ranks that hold this rank's slice of the replica's layers
 * @param stage the ranks that hold slices of the same layers, of all replicas of the group
 * @param group the ranks that share things out with this one
 * @param twins the ranks that have the same share, by group
 */
public record MeshRanks(
    Mesh mesh,
    Place place,
    Communicator all,
    Communicator background,
    Communicator slices,
    Communicator copies,
    Communicator stages,
    Communicator stage,
    Communicator group,
    Communicator twins) {
  /** All ranks make their groups at the same time. */
  public static MeshRanks of(Mesh mesh, Communicator all) {
    Place place = mesh.place(all.rank());
    return new MeshRanks(
        mesh,
        place,
        all,
        all.background(),
        all.group("tensor", mesh.tensorGroup(place)),
        all.group("data", mesh.dataGroup(place)),
        all.group("pipeline", mesh.pipelineGroup(place)),
        all.group("stage", mesh.stageGroup(place)),
        all.group("sharing", mesh.sharingGroup(place)),
        all.group("twins", mesh.twins(place)));
  }

  /** Whether what this rank knows of a loss counts: of each replica's ranks one does. */
  public boolean countsLoss() {
    return place.tensor() == 0 && place.stage() == mesh.pipeline() - 1;
  }
}
