package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.model.Span;
import org.ftcluster.worker.parallel.Machine.Link;
import org.ftcluster.worker.parallel.ScheduleTimes.Cost;
import org.ftcluster.worker.parallel.ScheduleTimes.Costs;

/**
 * How long a step takes in a mesh, in seconds, from what its ranks compute and send.
 *
 * @param microBatches taking them forward and backward, and where the base is asked before that
 *     forward through it, with all that stages and slices exchange meanwhile
 * @param gradients summing them, and handing out what is updated
 * @param update of the parameters
 */
public record StepTime(double microBatches, double gradients, double update) {
  /** Bytes of a parameter that an update reads and writes: value, gradient, both moments. */
  private static final int UPDATE_BYTES = 28;

  /** What a shard's update writes besides, before it is known to be everybody's. */
  private static final int PREVIEW_BYTES = 16;

  /** Of a parameter whose new value comes from whichever rank has updated it. */
  private static final int TAKING_OVER_BYTES = 2 * Float.BYTES;

  /** Sums over slices are of float32. */
  private static final int SUM_BYTES = Float.BYTES;

  /** A mesh and how it is used. */
  public record Layout(Mesh mesh, int interleave, Sharding sharding) {
    boolean sharesGradients() {
      return switch (sharding) {
        case NONE, ZERO1 -> false;
        case ZERO2, ZERO3 -> true;
      };
    }

    /** Whether ranks share out the values of what is trained. */
    boolean sharesValues(Workload work) {
      return sharding == Sharding.ZERO3 && work.trainsAll();
    }

    /** Whether a rank's gradients are those of a part of the model, zeros elsewhere. */
    boolean isInParts() {
      return mesh.pipeline() * mesh.tensor() > 1;
    }
  }

  /** Predicts one. */
  public static StepTime of(Workload work, Layout layout, Machine machine) {
    Mesh mesh = layout.mesh();
    int mine = Math.ceilDiv(work.microBatches(), mesh.data());
    Link all = machine.link(mesh.size());
    int group = mesh.groupSize();
    Link within = machine.link(group);
    double values = work.trained() * Float.BYTES;
    double sums = work.trained() * work.gradientBytes();
    double gradients =
        switch (layout.sharding()) {
          case NONE -> all.allReduce(sums, mesh.size());
          case ZERO1 -> all.allReduce(sums, mesh.size()) + within.gather(values, group);
          case ZERO2, ZERO3 ->
              // Each rank's share over the groups.
              all.allReduce(work.trained() * work.sumBytes() / group, mesh.groups())
                  + (layout.sharesValues(work) ? 0 : within.gather(values, group))
                  // From the stages that sum to the optimizer's shards.
                  + (mesh.pipeline() > 1 && !layout.sharesValues(work)
                      ? within.gather(work.trained() * work.sumBytes(), group)
                      : 0);
        };
    gradients -= hidden(work, layout, machine, all.allReduce(sums, mesh.size()));
    double update =
        updateBytes(work, layout) / machine.memoryBytes() * machine.slowdown(mesh.size());
    Schedule schedule = new Schedule(mesh.pipeline(), layout.interleave(), mine);
    Costs costs = costs(work, layout, machine);
    IntToDoubleFunction slowdown = stages -> machine.slowdown(stages * mesh.data() * mesh.tensor());
    double passes = ScheduleTimes.of(costs, schedule, slowdown).seconds();
    if (work.asksBase()) {
      List<Cost> forwards = new ArrayList<>(costs.forward());
      int slices = mesh.tensor();
      double rows = work.targets() * work.hidden() * work.activationBytes();
      Cost atHead =
          new Cost(
              work.headForward() / slices / machine.flops(),
              machine.link(slices).gather(rows, slices));
      forwards.add(plus(forwards.removeLast(), atHead));
      Costs forwardOnly = new Costs(forwards, costs.backward(), costs.transfer());
      passes += ScheduleTimes.ofForwards(forwardOnly, schedule, slowdown).seconds();
    }
    return new StepTime(passes, gradients, update);
  }

  /**
   * Bytes that a rank's update reads and writes, without what it does for others that it mirrors.
   */
  private static double updateBytes(Workload work, Layout layout) {
    // Once for the norm, once from sums to floats.
    int fromSum = Float.BYTES + work.sumBytes() + Float.BYTES;
    double all = work.trained();
    double own = all / layout.mesh().groupSize();
    return switch (layout.sharding()) {
      case NONE -> all * (fromSum + UPDATE_BYTES);
      case ZERO1 -> all * (fromSum + TAKING_OVER_BYTES) + own * (UPDATE_BYTES + PREVIEW_BYTES);
      case ZERO2, ZERO3 ->
          layout.sharesValues(work)
              ? own * (fromSum + UPDATE_BYTES)
              : all * TAKING_OVER_BYTES + own * (fromSum + UPDATE_BYTES + PREVIEW_BYTES);
    };
  }

  /**
   * Of summing gradients once a step what is done while the last micro-batch is still in its
   * backward.
   */
  private static double hidden(Workload work, Layout layout, Machine machine, double sum) {
    if (!machine.overlaps() || layout.sharesGradients()) {
      return 0;
    }
    // The first stage ends last; the others' are through by then, or as far as it is.
    int layers = work.layers() / (layout.mesh().pipeline() * layout.interleave());
    double backward = (layers - 1) * backward(work, layout, machine, work.tokens()).work();
    // The first layer's come last.
    return Math.min(backward, sum * (work.layers() - 1) / work.layers());
  }

  /** Of several steps. */
  public static StepTime mean(List<StepTime> steps) {
    return new StepTime(
        steps.stream().mapToDouble(StepTime::microBatches).average().orElseThrow(),
        steps.stream().mapToDouble(StepTime::gradients).average().orElseThrow(),
        steps.stream().mapToDouble(StepTime::update).average().orElseThrow());
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
    Link stages = machine.link(mesh.pipeline() * slices);
    // Each slice sends its own rows.
    double transfer =
        mesh.pipeline() == 1 ? 0 : stages.send(activations * work.activationBytes() / slices);
    double atHead = work.head() / slices / machine.flops();
    List<Cost> forwards = new ArrayList<>();
    List<Cost> backwards = new ArrayList<>();
    for (Span part : parts) {
      boolean last = part.to() == work.layers();
      int full = part.size() - (last ? 1 : 0);
      Cost forward = times(full, forward(work, layout, machine, work.tokens()));
      Cost backward =
          plus(
              times(full, backward(work, layout, machine, work.tokens())),
              gradientSum(work, layout, machine, part.size()));
      if (last) {
        forward = plus(forward, forward(work, layout, machine, work.targets()));
        // The head's loss and gradient come out of one call.
        backward =
            plus(
                plus(backward, backward(work, layout, machine, work.targets())),
                new Cost(atHead, headExchange(work, machine.link(slices), slices)));
      }
      forwards.add(forward);
      backwards.add(backward);
    }
    return machine.overlaps()
        ? new Costs(forwards, backwards, transfer)
        : onTheirCores(forwards, backwards, transfer, machine.slowdown(machine.ranksPerNode()));
  }

  /**
   * Where moving bytes takes the cores that ranks compute on, it is work like any other, which
   * takes less time while others wait.
   *
   * @param slowdown while all ranks of a node are at it, as they are where links are measured
   */
  private static Costs onTheirCores(
      List<Cost> forwards, List<Cost> backwards, double transfer, double slowdown) {
    List<Cost> forwardWork = new ArrayList<>();
    List<Cost> backwardWork = new ArrayList<>();
    for (int part = 0; part < forwards.size(); part++) {
      boolean last = part == forwards.size() - 1;
      Cost forwardSend = new Cost(0, last ? 0 : transfer);
      Cost backwardSend = new Cost(0, part == 0 ? 0 : transfer);
      forwardWork.add(plus(forwards.get(part), forwardSend).allWork(slowdown));
      backwardWork.add(plus(backwards.get(part), backwardSend).allWork(slowdown));
    }
    return new Costs(forwardWork, backwardWork, 0);
  }

  private static Cost forward(Workload work, Layout layout, Machine machine, double rows) {
    return layer(work, layout, machine, work.layerForward(rows), 1, 0);
  }

  private static Cost backward(Workload work, Layout layout, Machine machine, double rows) {
    // What the norms left is gathered again.
    return layer(work, layout, machine, work.layerBackward(rows), work.recompute() ? 2 : 1, 2);
  }

  /**
   * A layer, one way.
   *
   * @param passes in which its weights are expanded, and two sums over slices made, each after the
   *     slices' rows were gathered
   * @param gathers of slices' rows besides
   */
  private static Cost layer(
      Workload work, Layout layout, Machine machine, double flops, int passes, int gathers) {
    Mesh mesh = layout.mesh();
    int slices = mesh.tensor();
    double expansion = work.expansion() / slices / machine.memoryBytes();
    double compute = flops / slices / machine.flops() + passes * expansion;
    double activations = work.tokens() * work.hidden();
    Link link = machine.link(slices);
    double sums =
        2 * passes * link.gather(activations * SUM_BYTES, slices)
            + (2 * passes + gathers) * link.gather(activations * work.activationBytes(), slices);
    if (layout.sharding() != Sharding.ZERO3) {
      return new Cost(compute, sums);
    }
    // Those that all ranks of a stage have shares of are gathered whole.
    boolean whole = layout.sharesValues(work);
    double bytes = work.layerWeights() / (whole ? 1 : slices) * work.weightBytes();
    double gather =
        machine
            .link(mesh.groupSize())
            .gather(bytes, whole ? mesh.groupSize() / mesh.pipeline() : mesh.groupData());
    // At best the layer is gathered while the one before computes.
    double late = machine.overlaps() ? Math.max(0, gather - compute - sums) : gather;
    return new Cost(compute, sums + late);
  }

  /** Slices gather the rows of the head, and sum their gradient. */
  private static double headExchange(Workload work, Link link, int slices) {
    double rows = work.targets() * work.hidden();
    return link.gather(rows * work.activationBytes(), slices)
        + link.gather(rows * SUM_BYTES, slices);
  }

  /**
   * Adding the gradient of a chunk's micro-batch to those before it.
   *
   * @param layers of the chunk
   */
  private static Cost gradientSum(Workload work, Layout layout, Machine machine, int layers) {
    double bytes = Float.BYTES + 2 * work.sumBytes() + (layout.isInParts() ? Float.BYTES : 0);
    double exchange = 0;
    if (layout.sharesGradients()) {
      bytes += 2 * work.sumBytes();
      Mesh mesh = layout.mesh();
      double ofStage = work.trained() * work.gradientBytes() / mesh.pipeline();
      int group = mesh.groupSize();
      int ranks = group / mesh.pipeline();
      Link link = machine.link(group);
      // Where values are shared out a chunk's gradients go alone.
      int chunks = layout.interleave();
      exchange =
          layout.sharesValues(work)
              ? late(work, layout, machine, link.reduce(ofStage / chunks, ranks), layers, 1)
              : late(work, layout, machine, link.reduce(ofStage, ranks), layers, chunks);
    }
    // Where values are shared out only the chunk's own are added.
    int parts = layout.sharesValues(work) ? layout.mesh().pipeline() * layout.interleave() : 1;
    return new Cost(work.trained() / parts * bytes / machine.memoryBytes(), exchange);
  }

  /**
   * Of an exchange of a micro-batch's gradients what its backward, from the chunk's second layer
   * on, leaves to be waited for.
   *
   * @param layers of the chunk
   * @param chunks whose gradients go together, of which only its own come about meanwhile
   */
  private static double late(
      Workload work, Layout layout, Machine machine, double exchange, int layers, int chunks) {
    if (!machine.overlaps()) {
      return exchange;
    }
    double backward = (layers - 1) * backward(work, layout, machine, work.tokens()).work();
    double early = exchange * (layers - 1) / (layers * chunks);
    return exchange - Math.min(backward, early);
  }

  private static Cost plus(Cost a, Cost b) {
    return new Cost(a.work() + b.work(), a.exchange() + b.exchange());
  }

  private static Cost times(int n, Cost cost) {
    return new Cost(n * cost.work(), n * cost.exchange());
  }
}
