package org.ftcluster.worker.parallel;

import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelPart;
import org.ftcluster.worker.model.Span;

/** Which part of a model belongs where in a mesh. */
public final class MeshParts {
  private MeshParts() {}

  /**
   * Refuses what a model can't be cut into.
   *
   * @throws BadJobException which says what it can be cut into
   */
  public static void check(ModelConfig config, JobSpec.Parallel parallel) {
    ModelPart.checkSlices(config, parallel.tensor());
    if (parallel.pipeline() > config.layers()) {
      throw new BadJobException(
          "parallel.pipeline is %d, but the model has %d layers, and each stage needs one; %d would work."
              .formatted(parallel.pipeline(), config.layers(), config.layers()));
    }
  }

  /** The part that a place holds. */
  public static ModelPart part(
      ModelConfig config, Mesh mesh, Mesh.Place place, JobSpec.Sharding sharding) {
    Span layers = layers(config, mesh.pipeline()).get(place.stage());
    ModelPart part = ModelPart.of(config, layers, place.tensor(), mesh.tensor());
    return switch (sharding) {
      case NONE, ZERO1, ZERO2 -> part;
      case ZERO3 -> part.sharded(place.data(), mesh.data());
    };
  }

  /** The layers of each stage. */
  static List<Span> layers(ModelConfig config, int stages) {
    return LayerDeal.deal(config.layers(), headCost(config), stages);
  }

  /** What the head's product costs, in layers: by their weights. */
  static double headCost(ModelConfig config) {
    double head = (double) config.vocabularySize() * config.hiddenSize();
    return head / config.layerWeights();
  }
}
