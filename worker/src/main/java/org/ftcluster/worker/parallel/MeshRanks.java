package org.ftcluster.worker.parallel;

import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.parallel.Mesh.Place;
import org.jspecify.annotations.Nullable;

/**
 * The ranks of a generation in their mesh, as one of them sees them.
 *
 * @param all of them
 * @param background all of them once more, for gradients, see {@link Communicator#background}
 * @param deviceBackground the same for gradients in GPUs' memory; null where those go from host to
 *     host
 * @param slices the ranks that hold the slices of this rank's layers, among their layers
 * @param copies the ranks that hold the same of the model, of the group, among their layers
 * @param stages the ranks that hold this rank's slice of the replica's layers, among their layers
 * @param stage the ranks that hold slices of the same layers, of all replicas of the group
 * @param summing the same ones once more, in the background
 * @param group the ranks that share things out with this one
 * @param twins the ranks that have the same share, by group
 */
public record MeshRanks(
    Mesh mesh,
    Place place,
    Communicator all,
    Communicator background,
    @Nullable Communicator deviceBackground,
    Communicator slices,
    Communicator copies,
    Communicator stages,
    Communicator stage,
    Communicator summing,
    Communicator group,
    Communicator twins) {
  /** All ranks make their groups at the same time. */
  public static MeshRanks of(Mesh mesh, RankLinks links) {
    Communicator layers = links.layers();
    Communicator state = links.state();
    Communicator background = state.background();
    Place place = mesh.place(layers.rank());
    return new MeshRanks(
        mesh,
        place,
        links.hosts(),
        background,
        links.areOfDevices() ? layers.background() : null,
        layers.group("tensor", mesh.tensorGroup(place)),
        layers.group("data", mesh.dataGroup(place)),
        layers.group("pipeline", mesh.pipelineGroup(place)),
        state.group("stage", mesh.stageGroup(place)),
        background.group("stage", mesh.stageGroup(place)),
        state.group("sharing", mesh.sharingGroup(place)),
        state.group("twins", mesh.twins(place)));
  }

  /** Whether what this rank knows of a loss counts: of each replica's ranks one does. */
  public boolean countsLoss() {
    return place.tensor() == 0 && place.stage() == mesh.pipeline() - 1;
  }
}
