package org.ftcluster.worker.training;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.model.ModelPart;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.TrainableModel;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshParts;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.PipelineStage;
import org.ftcluster.worker.parallel.RankLinks;
import org.ftcluster.worker.parallel.Replica;
import org.jspecify.annotations.Nullable;

/**
 * What a process holds of a job's model: all that is trained, and of the base model the part that
 * belongs to its place in the mesh. So any process can go on in any place, from its own memory.
 *
 * <p>All calls come from one thread, the rank's.
 */
interface JobModel extends AutoCloseable {
  /** What is trained, over all parts of the model. */
  ParameterBuffer parameters();

  /** Loads the part of that place, unless it is there already. */
  void take(Mesh mesh, Mesh.Place place);

  /** How the ranks of a generation reach each other; closing it closes {@code hosts}. */
  RankLinks link(Communicator hosts);

  /**
   * The part that was taken, connected to the ranks of a generation.
   *
   * @param shares of what is trained, this rank's, by unit, where ranks share out its values
   * @throws IllegalStateException when none was
   */
  Replica connected(MeshRanks ranks, IntFunction<MemorySegment> shares);

  /** As {@link TrainableModel#weightBytes}. */
  long weightBytes();

  /** As {@link TrainableModel#peakActivationBytes}. */
  long activationBytes();

  /** Sets the parameters to what training begins from. */
  void initialize(long seed);

  @Override
  void close();

  private static RankLinks link(
      @Nullable Gpu gpu, Communicator hosts, boolean inParts, Deadlines deadlines) {
    return gpu == null ? RankLinks.ofHosts(hosts) : gpu.link(hosts, inParts, deadlines.connect());
  }

  private static void letGo(@Nullable Gpu gpu) {
    if (gpu != null) {
      gpu.accelerator().close();
    }
  }

  /**
   * A model that each rank holds as a whole.
   *
   * @param gpu that it runs on, closed with it; null where that is the host
   */
  record Whole(TrainableModel model, Deadlines deadlines, @Nullable Gpu gpu) implements JobModel {
    @Override
    public RankLinks link(Communicator hosts) {
      return JobModel.link(gpu, hosts, false, deadlines);
    }

    @Override
    public ParameterBuffer parameters() {
      return model.parameters();
    }

    @Override
    public void take(Mesh mesh, Mesh.Place place) {
      if (mesh.data() != mesh.size()) {
        throw new IllegalArgumentException("a whole model on a part of " + mesh);
      }
    }

    @Override
    public Replica connected(MeshRanks ranks, IntFunction<MemorySegment> shares) {
      return new Replica.OneStage(model);
    }

    @Override
    public long weightBytes() {
      return model.weightBytes();
    }

    @Override
    public long activationBytes() {
      return model.peakActivationBytes();
    }

    @Override
    public void initialize(long seed) {
      model.initialize(seed);
    }

    @Override
    public void close() {
      model.close();
      JobModel.letGo(gpu);
    }
  }

  /** A model of which each rank holds a part. */
  final class InParts implements JobModel {
    private final JobSpec spec;
    private final ModelConfig config;
    private final MemorySavings savings;
    private final Deadlines deadlines;
    private final @Nullable Gpu gpu;
    private final ParameterBuffer parameters;
    private List<ModelPart> parts = List.of();
    private final List<CausalLanguageModel> loaded = new ArrayList<>();
    private @Nullable PipelineStage stage;

    /**
     * Loads no weights yet.
     *
     * @param gpu as above; the caller's where this fails
     * @throws org.ftcluster.protocol.job.BadJobException when the model can't be cut like that
     */
    InParts(JobSpec spec, MemorySavings savings, Deadlines deadlines, @Nullable Gpu gpu) {
      this.spec = spec;
      this.savings = savings;
      this.gpu = gpu;
      this.config = ModelConfigReader.read(spec.model().path());
      this.deadlines = deadlines;
      MeshParts.check(config, spec.parallel());
      this.parameters = ModelLoader.newParameters(spec.model(), spec.adapter(), savings);
    }

    @Override
    public ParameterBuffer parameters() {
      return parameters;
    }

    @Override
    public void take(Mesh mesh, Mesh.Place place) {
      List<ModelPart> wanted = MeshParts.parts(config, mesh, place, spec);
      if (wanted.equals(parts)) {
        return;
      }
      letGo();
      for (ModelPart part : wanted) {
        loaded.add(
            ModelLoader.loadPart(
                spec.model(),
                spec.adapter(),
                savings,
                spec.resources().threads(),
                part,
                parameters,
                gpu == null ? null : gpu.accelerator()));
      }
      parts = wanted;
    }

    @Override
    public RankLinks link(Communicator hosts) {
      return JobModel.link(gpu, hosts, true, deadlines);
    }

    @Override
    public Replica connected(MeshRanks ranks, IntFunction<MemorySegment> shares) {
      CausalLanguageModel first = taken();
      ranks.stages().meetNeighbours();
      for (CausalLanguageModel model : loaded) {
        model.connect(ranks.slices(), ranks.copies(), deadlines.progress());
        model.connectTrained(ranks.stage(), ranks.stages(), shares, deadlines.progress());
      }
      disconnect();
      if (ranks.mesh().pipeline() == 1) {
        return new Replica.OneStage(first);
      }
      PipelineStage connected = new PipelineStage(loaded, ranks.stages(), deadlines.progress());
      stage = connected;
      return connected;
    }

    private void disconnect() {
      if (stage != null) {
        stage.close();
        stage = null;
      }
    }

    @Override
    public long weightBytes() {
      return loaded.stream().mapToLong(CausalLanguageModel::weightBytes).sum();
    }

    @Override
    public long activationBytes() {
      return stage != null
          ? stage.peakActivationBytes()
          : loaded.stream().mapToLong(CausalLanguageModel::peakActivationBytes).sum();
    }

    @Override
    public void initialize(long seed) {
      taken().initialize(seed);
    }

    private CausalLanguageModel taken() {
      if (loaded.isEmpty()) {
        throw new IllegalStateException("no part of the model was taken");
      }
      return loaded.getFirst();
    }

    private void letGo() {
      disconnect();
      loaded.forEach(CausalLanguageModel::close);
      loaded.clear();
      parts = List.of();
    }

    @Override
    public void close() {
      letGo();
      parameters.close();
      JobModel.letGo(gpu);
    }
  }
}
