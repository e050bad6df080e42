package org.ftcluster.worker.checkpoint.storage;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;

/**
 * Files under names such as {@code step-8/state.safetensors}. Each is there whole or not at all,
 * and a call that returns has done its work durably. Calls wait for the network, but not without
 * end; they may come from any thread.
 */
public interface Storage extends AutoCloseable {
  /** Begins an address in S3-compatible storage. */
  String S3 = "s3://";

  /**
   * What a job names as {@code checkpoint.remote}. Nothing is looked for before it is used.
   *
   * @param remote a folder, or {@code s3://BUCKET/PREFIX}
   */
  static Storage of(String remote, JobSpec.Checkpoint checkpoint) {
    if (!remote.startsWith(S3)) {
      return new FolderStorage(Path.of(remote));
    }
    String endpoint = checkpoint.endpoint();
    return new S3Storage(
        S3Address.parse(remote),
        endpoint == null ? null : URI.create(endpoint),
        checkpoint.region());
  }

  /**
   * Stores the beginning of a file, over what has the name.
   *
   * @param bytes how much of it
   */
  void put(String name, Path file, long bytes) throws IOException;

  /**
   * Copies a file to {@code target}, over what is there.
   *
   * @throws IOException also when there is none of that name
   */
  void get(String name, Path target) throws IOException;

  /** All names that begin so, in order. */
  List<String> list(String beginning) throws IOException;

  /** Removes a file; does nothing where there is none. */
  void delete(String name) throws IOException;

  /** Where a file is, for people; the storage itself where {@code name} is empty. */
  String describe(String name);

  @Override
  void close();
}
