package org.ftcluster.worker.training;

import java.util.List;
import java.util.stream.Stream;

/**
 * A layout of a job on one, two or four ranks.
 *
 * @param chunks of each stage
 * @param group ranks that share things out; 0 for all of them
 */
record MeshCase(int data, int tensor, int stages, int chunks, String sharding, int group) {
  static final MeshCase ALONE = new MeshCase(1, 1, 1, 1, "none");

  /** Every kind of mesh. */
  static final List<MeshCase> ALL =
      List.of(
          new MeshCase(1, 2, 1, 1, "none"),
          new MeshCase(1, 4, 1, 1, "none"),
          new MeshCase(1, 1, 2, 1, "none"),
          new MeshCase(1, 1, 4, 1, "none"),
          new MeshCase(1, 1, 2, 2, "none"),
          new MeshCase(1, 2, 2, 1, "none"),
          new MeshCase(2, 2, 1, 1, "none"),
          new MeshCase(2, 1, 2, 1, "none"),
          new MeshCase(2, 1, 1, 1, "zero1"),
          new MeshCase(4, 1, 1, 1, "zero1"),
          new MeshCase(2, 1, 1, 1, "zero2"),
          new MeshCase(4, 1, 1, 1, "zero2"),
          new MeshCase(2, 1, 1, 1, "zero3"),
          new MeshCase(4, 1, 1, 1, "zero3"),
          new MeshCase(2, 2, 1, 1, "zero3"),
          new MeshCase(2, 1, 2, 1, "zero2"),
          new MeshCase(2, 1, 2, 2, "zero3"),
          new MeshCase(4, 1, 1, 1, "zero1", 2),
          new MeshCase(4, 1, 1, 1, "zero3", 2),
          new MeshCase(2, 1, 2, 1, "zero2", 2));

  MeshCase(int data, int tensor, int stages, int chunks, String sharding) {
    this(data, tensor, stages, chunks, sharding, 0);
  }

  int ranks() {
    return data * tensor * stages;
  }

  /** As {@code --set} has them, with others. */
  String[] settings(String... more) {
    return Stream.concat(
            Stream.of(
                "parallel.data=" + data,
                "parallel.tensor=" + tensor,
                "parallel.pipeline=" + stages,
                "parallel.interleave=" + chunks,
                "parallel.sharding=" + sharding,
                "parallel.sharding_group=" + (group == 0 ? "auto" : group)),
            Stream.of(more))
        .toArray(String[]::new);
  }

  @Override
  public String toString() {
    String pipeline = chunks == 1 ? "" + stages : "%dx%d".formatted(stages, chunks);
    String groups = group == 0 ? "" : " in groups of %d".formatted(group);
    return "data %d x tensor %d x pipeline %s, %s%s"
        .formatted(data, tensor, pipeline, sharding, groups);
  }
}
