package org.ftcluster.worker.parallel;

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
   * @throws org.ftcluster.protocol.job.BadJobException which says what it can be cut into
   */
  public static void check(ModelConfig config, JobSpec.Parallel parallel) {
    ModelPart.checkSlices(config, parallel.tensor());
  }

  /** The part that a place holds. */
  public static ModelPart part(ModelConfig config, Mesh mesh, Mesh.Place place) {
    return ModelPart.of(config, new Span(0, config.layers()), place.tensor(), mesh.tensor());
  }
}
