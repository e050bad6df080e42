package org.ftcluster.worker.checkpoint;

import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.SafetensorsException;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.ftcluster.worker.safetensors.TensorView;

/**
 * A folder {@code step-N}: {@code state.safetensors} with the tensors, and {@code checkpoint.json}
 * with progress and the other file's length and checksum.
 */
final class Checkpoint {
  private static final String STATE = "state.safetensors";
  private static final String MANIFEST = "checkpoint.json";
  private static final int FORMAT = 1;
  private static final List<String> PREFIXES =
      List.of("parameter.", "first_moment.", "second_moment.");
  private static final JsonMapper JSON =
      JsonMapper.builder().propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build();

  private final Path folder;
  private final Manifest manifest;

  private Checkpoint(Path folder, Manifest manifest) {
    this.folder = folder;
    this.manifest = manifest;
  }

  /** What {@code checkpoint.json} holds. */
  record Manifest(
      int format, String fingerprint, Progress progress, long stateBytes, long stateCrc32c) {}

  /** How a file of tensors is written: the seam where tests fill the disk. */
  interface TensorWriter {
    void write(Path target, List<TensorView> tensors, Map<String, String> metadata)
        throws IOException;
  }

  /** Writes and syncs the files into an empty folder. */
  static void write(Path folder, Snapshot state, String fingerprint, TensorWriter writer)
      throws IOException {
    List<TensorView> tensors = new ArrayList<>();
    for (int b = 0; b < PREFIXES.size(); b++) {
      for (ParameterBuffer.Slice slice : state.slices()) {
        tensors.add(
            new TensorView(
                PREFIXES.get(b) + slice.name(),
                DType.F32,
                slice.shape(),
                Tensors.of(state.buffers().get(b), slice)));
      }
    }
    Path file = folder.resolve(STATE);
    writer.write(file, tensors, Map.of());
    Manifest manifest =
        new Manifest(
            FORMAT, fingerprint, state.progress(), Files.size(file), Checksums.crc32c(file));
    DurableFiles.write(
        folder.resolve(MANIFEST),
        JSON.writerWithDefaultPrettyPrinter().writeValueAsString(manifest) + "\n");
  }

  /**
   * Opens a checkpoint and checks that it is whole.
   *
   * @throws CheckpointException when it isn't
   */
  static Checkpoint open(Path folder) {
    try {
      Manifest manifest = readManifest(folder);
      if (manifest.format() != FORMAT) {
        throw new CheckpointException(
            "%s: is of format %d, not %d.".formatted(folder, manifest.format(), FORMAT));
      }
      Path file = folder.resolve(STATE);
      if (Files.size(file) != manifest.stateBytes()) {
        throw new CheckpointException(
            "%s: holds %d bytes, not %d.".formatted(file, Files.size(file), manifest.stateBytes()));
      }
      if (Checksums.crc32c(file) != manifest.stateCrc32c()) {
        throw new CheckpointException("%s: its checksum is wrong.".formatted(file));
      }
      return new Checkpoint(folder, manifest);
    } catch (IOException e) {
      throw new CheckpointException("%s: can't be read: %s.".formatted(folder, e), e);
    }
  }

  /** The job's, without a look at anything else. */
  static String readFingerprint(Path folder) throws IOException {
    return readManifest(folder).fingerprint();
  }

  private static Manifest readManifest(Path folder) throws IOException {
    return JSON.readValue(Files.readAllBytes(folder.resolve(MANIFEST)), Manifest.class);
  }

  String fingerprint() {
    return manifest.fingerprint();
  }

  /**
   * Reads everything into {@code state}.
   *
   * @throws CheckpointException when a tensor is missing, or of another shape; {@code state} then
   *     holds nothing
   */
  void readInto(TrainingState state) {
    state.invalidate();
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(STATE))) {
      for (int b = 0; b < PREFIXES.size(); b++) {
        for (ParameterBuffer.Slice slice : state.parameters().slices()) {
          TensorView tensor = file.get(PREFIXES.get(b) + slice.name());
          Tensors.checkShape(file.path(), tensor, slice);
          Tensors.of(state.buffers().get(b), slice).copyFrom(tensor.data());
        }
      }
    } catch (SafetensorsException e) {
      throw new CheckpointException(String.valueOf(e.getMessage()), e);
    }
    state.completed(manifest.progress());
  }
}
