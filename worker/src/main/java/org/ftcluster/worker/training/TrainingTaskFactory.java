package org.ftcluster.worker.training;

import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Supplier;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.checkpoint.PeftAdapter;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.data.Dataset;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.Tokenizer;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.model.TrainableModel;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.safetensors.SafetensorsException;
import org.ftcluster.worker.tensor.NativeException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Loads a job's data and language model. Data come first: what is wrong with them shows before the
 * weights are read.
 */
public final class TrainingTaskFactory implements RankTask.Factory {
  private static final Logger LOG = LoggerFactory.getLogger(TrainingTaskFactory.class);
  private static final ListenAddress LOOPBACK = ListenAddress.on("127.0.0.1");

  private final Deadlines deadlines;
  private final long memory;
  private final Supplier<? extends Gpu> gpu;

  /** With the standard deadlines, for a worker that has the machine to itself. */
  public TrainingTaskFactory() {
    this(Deadlines.standard(), MachineMemory.total(), false);
  }

  /**
   * @param memory that a rank may take, in bytes
   * @param ncclInPlain whether NCCL, which doesn't encrypt, may go between machines whose other
   *     connections are encrypted
   */
  public TrainingTaskFactory(Deadlines deadlines, long memory, boolean ncclInPlain) {
    this(deadlines, memory, () -> NvidiaGpu.open(ncclInPlain));
  }

  /**
   * @param gpu opens what {@code resources.device: cuda} asks for, for the calling thread
   */
  TrainingTaskFactory(Deadlines deadlines, long memory, Supplier<? extends Gpu> gpu) {
    this.deadlines = deadlines;
    this.memory = memory;
    this.gpu = gpu;
  }

  /**
   * Loads a job as a worker would, and looks whether {@code checkpoint.path} is free for it.
   *
   * @return its optimizer steps
   * @throws BadJobException when the job is wrong
   */
  public long check(String jobYaml) {
    try (TrainingTask task = load("check", jobYaml, LOOPBACK)) {
      task.checkFolder();
      return task.steps();
    }
  }

  /**
   * What a job would need of a worker's memory. Loads its data, and none of the model's weights.
   *
   * @param memory what a worker has, in bytes
   * @throws BadJobException when the job is wrong
   */
  public MemoryPlan plan(String jobYaml, long memory) {
    JobSpec spec = JobSpecReader.resolved(jobYaml);
    try {
      Data data = data(spec, spec.resources().threads());
      return MemoryPlan.of(spec, data.train(), data.eval(), memory);
    } catch (SafetensorsException e) {
      throw new BadJobException(String.valueOf(e.getMessage()), e);
    }
  }

  /**
   * Chooses what a job leaves open of its mesh: the fastest that fits.
   *
   * @param spec with {@code auto} in {@code parallel}
   * @param workers that there will be
   * @param memory of each, in bytes
   * @throws BadJobException when the job is wrong, or no layout fits
   */
  public JobSpec.Parallel chooseMesh(JobSpec spec, int workers, long memory, Machine machine) {
    return choice(spec, memory).fastest(workers, machine);
  }

  /**
   * The layout nearest to a job's own that fits into the memory of so many workers or fewer, as it
   * stands in a job file; nothing where none does.
   *
   * @throws BadJobException when the job is wrong
   */
  public Optional<String> nearestMesh(JobSpec spec, int workers, long memory) {
    return choice(spec, memory).nearest(workers);
  }

  private MeshChoice choice(JobSpec spec, long memory) {
    try {
      Data data = data(spec, spec.resources().threads());
      return MeshChoice.of(spec, data.train(), data.eval(), memory);
    } catch (SafetensorsException e) {
      throw new BadJobException(String.valueOf(e.getMessage()), e);
    }
  }

  /** To be called on the rank's thread, which the model belongs to. */
  @Override
  public RankTask create(String job, String jobYaml, ListenAddress listen) {
    return load(job, jobYaml, listen);
  }

  private TrainingTask load(String job, String jobYaml, ListenAddress listen) {
    JobSpec spec = JobSpecReader.resolved(jobYaml);
    int threads = spec.resources().threads();
    try {
      Data data = data(spec, threads);
      Loaded loaded = model(spec, data);
      try {
        checkInitialAdapter(spec, loaded.model());
        return new TrainingTask(
            job,
            spec,
            loaded.model(),
            loaded.savings(),
            data.train(),
            data.eval(),
            listen,
            deadlines);
      } catch (RuntimeException | Error e) {
        loaded.model().close();
        throw e;
      }
    } catch (SafetensorsException e) {
      throw new BadJobException(String.valueOf(e.getMessage()), e);
    }
  }

  private record Loaded(JobModel model, MemorySavings savings) {}

  /** Of a model that is cut into parts, none is loaded before its place is known. */
  private Loaded model(JobSpec spec, Data data) {
    return switch (spec.resources().device()) {
      case CPU -> onCpu(spec, data);
      case CUDA -> onGpu(spec, data);
    };
  }

  private Loaded onGpu(JobSpec spec, Data data) {
    Gpu device;
    try {
      device = gpu.get();
    } catch (NativeException e) {
      throw new BadJobException(
          "resources.device is cuda, but this worker has no GPU that can be used: "
              + e.getMessage(),
          e);
    }
    try {
      return loaded(spec, savings(spec, data, device.accelerator().freeBytes()), device);
    } catch (RuntimeException | Error e) {
      device.accelerator().close();
      throw e;
    }
  }

  private static MemorySavings savings(JobSpec spec, Data data, long memory) {
    MemorySavings savings = MemoryPlan.fitting(spec, data.train(), data.eval(), memory);
    LOG.info("to fit {} bytes of memory: {}", memory, savings.text());
    return savings;
  }

  private Loaded onCpu(JobSpec spec, Data data) {
    return loaded(spec, savings(spec, data, memory), null);
  }

  private Loaded loaded(JobSpec spec, MemorySavings savings, @Nullable Gpu device) {
    if (spec.parallel().replicaRanks() > 1 || spec.parallel().sharding() == Sharding.ZERO3) {
      return new Loaded(new JobModel.InParts(spec, savings, deadlines, device), savings);
    }
    TrainableModel model =
        ModelLoader.load(
            spec.model(),
            spec.adapter(),
            savings,
            spec.resources().threads(),
            device == null ? null : device.accelerator());
    return new Loaded(new JobModel.Whole(model, deadlines, device), savings);
  }

  /** Whether it fits shows here; its values are read again where there is no checkpoint. */
  private static void checkInitialAdapter(JobSpec spec, JobModel model) {
    Path initFrom = spec.adapter().initFrom();
    if (initFrom == null) {
      return;
    }
    PeftAdapter.readInto(initFrom, spec.adapter(), model.parameters());
  }

  private record Data(GlobalBatches train, @Nullable EvalBatches eval) {}

  private static Data data(JobSpec spec, int threads) {
    int vocabulary = ModelConfigReader.read(spec.model().path()).vocabularySize();
    int maxLength = spec.data().maxLength();
    try (Tokenizer tokenizer = Tokenizer.open(spec.model().path(), vocabulary)) {
      Dataset train = Dataset.load(spec.data().train(), tokenizer, maxLength, threads);
      SampleSource evalSource = spec.data().eval();
      EvalBatches eval = null;
      if (evalSource != null) {
        Dataset samples = Dataset.load(evalSource, tokenizer, maxLength, threads);
        // As much at a time as training has.
        eval = new EvalBatches(samples, spec.training().microBatchSize() * maxLength);
      }
      return new Data(new GlobalBatches(train, spec), eval);
    }
  }
}
