package org.ftcluster.worker.parallel;

import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.parallel.Mesh.Place;
import org.ftcluster.worker.tensor.Accelerator;
import org.jspecify.annotations.Nullable;

/**
 * The ranks of a generation in their mesh, as one of them sees them.
 *
 * @param device whose memory that of "layers" is here; null for the host's
 * @param all of them
 * @param background all of them once more, for gradients, see {@link Communicator#background}
 * @param deviceBackground the same, among layers; null where that is the same
 * @param slices the ranks that hold the slices of this rank's layers, among their layers
 * @param copies the ranks that hold the same of the model, of the group, among their layers
 * @param stages the ranks that hold this rank's slice of the replica's layers, among their layers
 * @param stage the ranks that hold slices of the same layers, of all replicas of the group, among
 *     their layers
 * @param summing the same ones once more, in the background
 * @param group the ranks that share things out with this one
 * @param twins the ranks that have the same share, by group, among their layers
 */
public record MeshRanks(
    Mesh mesh,
    Place place,
    @Nullable Accelerator device,
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
    Communicator deviceBackground = links.device() == null ? null : layers.background();
    Communicator summing = deviceBackground == null ? background : deviceBackground;
    Place place = mesh.place(layers.rank());
    return new MeshRanks(
        mesh,
        place,
        links.device(),
        links.hosts(),
        background,
        deviceBackground,
        layers.group("tensor", mesh.tensorGroup(place)),
        layers.group("data", mesh.dataGroup(place)),
        layers.group("pipeline", mesh.pipelineGroup(place)),
        layers.group("stage", mesh.stageGroup(place)),
        summing.group("stage", mesh.stageGroup(place)),
        state.group("sharing", mesh.sharingGroup(place)),
        layers.group("twins", mesh.twins(place)));
  }

  /** Whether what this rank knows of a loss counts: of each replica's ranks one does. */
  public boolean countsLoss() {
    return place.tensor() == 0 && place.stage() == mesh.pipeline() - 1;
  }
}
