package org.ftcluster.worker.collective.nccl;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.ftcluster.worker.tensor.cuda.HostCompiler;
import org.jspecify.annotations.Nullable;

/**
 * NCCL and the CUDA runtime among threads of this process, over the host's memory: {@code
 * nccl_simulation.cpp} in their place until it is closed.
 */
public final class SimulatedNccl implements AutoCloseable {
  private static @Nullable Path library;

  private SimulatedNccl() {}

  /** The test that asks is skipped where there is no compiler. */
  public static synchronized SimulatedNccl open() {
    HostCompiler.assumeIsHere();
    Path compiled = library;
    if (compiled == null) {
      compiled = compile();
      library = compiled;
    }
    System.setProperty(NcclLibrary.PROPERTY, compiled.toString());
    System.setProperty(CudaRuntime.PROPERTY, compiled.toString());
    return new SimulatedNccl();
  }

  private static Path compile() {
    try (InputStream source =
        SimulatedNccl.class.getResourceAsStream("/cuda/nccl_simulation.cpp")) {
      Path folder = Files.createTempDirectory("nccl");
      folder.toFile().deleteOnExit();
      String text = new String(source.readAllBytes(), StandardCharsets.UTF_8);
      Path compiled = HostCompiler.compile(folder, "nccl_simulation.cpp", text);
      compiled.toFile().deleteOnExit();
      return compiled;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    System.clearProperty(NcclLibrary.PROPERTY);
    System.clearProperty(CudaRuntime.PROPERTY);
  }
}
