package org.ftcluster.worker.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.model.RandomCheckpoint;

/**
 * Times how a checkpoint of a given shape with random weights is loaded, and quantized where asked,
 * beside reading its file once. The file was just written, so both read the system's cache.
 */
public final class LoadBenchmark {
  private static final int PIECE = 1 << 24;
  private static final JobSpec.Adapter ADAPTER =
      new JobSpec.Adapter(JobSpec.AdapterType.LORA, 16, 32, 0, List.of("all-linear"), false, null);

  /**
   * What was measured.
   *
   * @param bytes of the file
   * @param readSeconds of reading it, on one thread
   * @param loadSeconds until a model was ready to train
   */
  public record Result(long bytes, double readSeconds, double loadSeconds) {
    public double readGigabytesPerSecond() {
      return bytes / readSeconds / 1e9;
    }

    public double loadGigabytesPerSecond() {
      return bytes / loadSeconds / 1e9;
    }
  }

  private LoadBenchmark() {}

  /**
   * Needs as much room in the folder for temporary files as the checkpoint takes, and as much
   * memory.
   */
  public static Result run(
      Path config, JobSpec.ComputeType dtype, JobSpec.Quantization quantization, int threads)
      throws IOException {
    Path folder = Files.createTempDirectory("ftcluster-bench");
    try {
      Path file = RandomCheckpoint.write(config, folder);
      var model = new JobSpec.Model(folder, dtype, quantization);
      return new Result(Files.size(file), secondsToRead(file), secondsToLoad(model, threads));
    } finally {
      Files.deleteIfExists(folder.resolve("model.safetensors"));
      Files.deleteIfExists(folder.resolve("config.json"));
      Files.deleteIfExists(folder);
    }
  }

  private static double secondsToRead(Path file) throws IOException {
    ByteBuffer piece = ByteBuffer.allocateDirect(PIECE);
    long start = System.nanoTime();
    try (FileChannel channel = FileChannel.open(file)) {
      while (channel.read(piece) >= 0) {
        piece.clear();
      }
    }
    return (System.nanoTime() - start) / 1e9;
  }

  private static double secondsToLoad(JobSpec.Model model, int threads) {
    long start = System.nanoTime();
    try (CausalLanguageModel _ = ModelLoader.load(model, ADAPTER, MemorySavings.NONE, threads)) {
      return (System.nanoTime() - start) / 1e9;
    }
  }
}
