package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.model.Span;
import org.ftcluster.worker.parallel.Machine.Link;
import org.ftcluster.worker.parallel.ScheduleTimes.Costs;

/**
 * How long a step takes in a mesh, in seconds, from what its ranks compute and send.
 *
 * @param microBatches taking them forward and backward, with all that stages and slices exchange
 *     meanwhile
 * @param gradients summing them, and handing out what is updated
 * @param update of the parameters
 */
public record StepTime(double microBatches, double gradients, double update) {
  /** Bytes of a parameter that an update reads and writes: value, gradient, both moments. */
  private static final int UPDATE_BYTES = 28;

  /** Bytes that expanding a packed weight reads and writes. */
  private static final double EXPANSION_BYTES = 4.5;

  /** Sums over slices are of float32. */
  private static final int SUM_BYTES = Float.BYTES;

  /** A mesh and how it is used. */
  public record Layout(Mesh mesh, int interleave, Sharding sharding) {}

  /** Predicts one. */
  public static StepTime of(Workload work, Layout layout, Machine machine) {
    Mesh mesh = layout.mesh();
    int copies = mesh.data();
    int mine = Math.ceilDiv(work.microBatches(), copies);
    Link all = machine.link(mesh.size());
    double values = work.trained() * Float.BYTES;
    double sums = work.trained() * work.gradientBytes();
    double perMicroBatch = 0;
    double gradients =
        switch (layout.sharding()) {
          case NONE -> all.allReduce(sums, mesh.size());
          case ZERO1 -> all.allReduce(sums, mesh.size()) + all.gather(values, mesh.size());
          case ZERO2, ZERO3 -> {
            perMicroBatch = all.gather(sums, mesh.size());
            yield all.gather(values, mesh.size());
          }
        };
    double update = work.trained() * UPDATE_BYTES / machine.memoryBytes();
    Schedule schedule = new Schedule(mesh.pipeline(), layout.interleave(), mine);
    double passes = ScheduleTimes.of(costs(work, layout, machine), schedule).seconds();
    return new StepTime(passes + mine * perMicroBatch, gradients, update);
  }

  /** Seconds altogether. */
  public double seconds() {
    return microBatches + gradients + update;
  }

  /** Share of the machines' time that goes into what a step needs anyhow. */
  public double efficiency(Workload work, Layout layout, Machine machine) {
    return work.usefulFlops() / (machine.flops() * layout.mesh().size() * seconds());
  }

  private static Costs costs(Workload work, Layout layout, Machine machine) {
    Mesh mesh = layout.mesh();
    int slices = mesh.tensor();
    double head = work.headWeights() / work.layerWeights();
    List<Span> parts = LayerDeal.deal(work.layers(), head, mesh.pipeline() * layout.interleave());
    double activations = work.tokens() * work.hidden();
    // Two sums in a layer's forward, two in its backward, and the forward's again.
    double sum = machine.link(slices).allReduce(activations * SUM_BYTES, slices);
    double expansion =
        work.weightBytes() < Short.BYTES
            ? work.layerWeights() / slices * EXPANSION_BYTES / machine.memoryBytes()
            : 0;
    double forward = work.layerForward() / slices / machine.flops() + expansion + 2 * sum;
    double backward =
        work.layerBackward() / slices / machine.flops()
            + expansion
            + 2 * sum
            + (work.recompute() ? expansion + 2 * sum : 0);
    if (layout.sharding() == Sharding.ZERO3) {
      // Gathered while the layer before computes.
      double bytes = work.layerWeights() / slices * work.weightBytes();
      double gather = machine.link(mesh.size()).gather(bytes, mesh.data());
      forward = Math.max(forward, gather);
      backward = Math.max(backward, gather);
    }
    double atHead = work.head() / slices / machine.flops();
    List<Double> forwards = new ArrayList<>();
    List<Double> backwards = new ArrayList<>();
    for (Span part : parts) {
      boolean last = part.to() == work.layers();
      forwards.add(part.size() * forward);
      // The head's loss and gradient come out of one call.
      backwards.add(part.size() * backward + (last ? atHead : 0));
    }
    Link stages = machine.link(mesh.pipeline() * slices);
    double transfer = mesh.pipeline() == 1 ? 0 : stages.send(activations * work.activationBytes());
    return new Costs(forwards, backwards, transfer);
  }
}
