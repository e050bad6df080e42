package org.ftcluster.worker.checkpoint;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import org.ftcluster.protocol.job.BadJobException;

/** Short words that differ where the content of files differs. */
final class FileContent {
  /** Files of a model folder that decide what it computes, besides its weights. */
  private static final List<String> SETTINGS =
      List.of("config.json", "tokenizer.json", "tokenizer_config.json");

  private static final String WEIGHTS = ".safetensors";

  /** How much of either end of a file of weights is looked at. */
  private static final int SAMPLE_BYTES = 1 << 20;

  private FileContent() {}

  /** Of the whole file. */
  static String ofFile(String key, Path file) {
    try {
      return "%d bytes, sha256 %s".formatted(Files.size(file), Checksums.sha256(file));
    } catch (IOException e) {
      throw unreadable(key, file, e);
    }
  }

  /** Of some files of a folder, as far as they are there. */
  static String ofFiles(String key, Path folder, List<String> names) {
    MessageDigest digest = Checksums.sha256();
    for (String name : names) {
      Path file = folder.resolve(name);
      if (Files.exists(file)) {
        digest.update("%s %s ".formatted(name, ofFile(key, file)).getBytes(UTF_8));
      }
    }
    return "sha256 " + HexFormat.of().formatHex(digest.digest());
  }

  /**
   * Of a model folder. Weights are told apart by names, sizes and both ends of each file: they can
   * be too large to be read for this alone, and other weights differ everywhere.
   */
  static String ofModel(String key, Path folder) {
    MessageDigest digest = Checksums.sha256();
    try {
      for (Path file : Folders.list(folder)) {
        String name = file.getFileName().toString();
        if (SETTINGS.contains(name)) {
          digest.update(Files.readAllBytes(file));
        } else if (name.endsWith(WEIGHTS)) {
          digest.update("%s %d ".formatted(name, Files.size(file)).getBytes(UTF_8));
          sample(file, digest);
        }
      }
    } catch (IOException e) {
      throw unreadable(key, folder, e);
    }
    return "sha256 " + HexFormat.of().formatHex(digest.digest());
  }

  private static void sample(Path file, MessageDigest digest) throws IOException {
    try (FileChannel channel = FileChannel.open(file)) {
      long size = channel.size();
      ByteBuffer sample = ByteBuffer.allocate(SAMPLE_BYTES);
      for (long at : new long[] {0, Math.max(0, size - SAMPLE_BYTES)}) {
        sample.clear();
        int read = 0;
        while (read >= 0 && sample.hasRemaining()) {
          read = channel.read(sample, at + sample.position());
        }
        digest.update(sample.flip());
      }
    }
  }

  private static BadJobException unreadable(String key, Path path, IOException e) {
    return new BadJobException("%s: %s can't be read: %s.".formatted(key, path, e), e);
  }
}
