package org.ftcluster.worker.checkpoint.storage;

import java.io.IOException;
import java.net.URI;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.ftcluster.protocol.file.DurableFiles;
import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.S3Object;

/**
 * S3, or what speaks its protocol. Large files go in parts, and come in ranges, each of which is
 * tried again on its own; a file in parts appears once all of them are there.
 */
final class S3Storage implements Storage {
  /** Files above go in parts. */
  static final long PART_BYTES = 16L << 20;

  private static final int MAX_PARTS = 10_000;
  private static final String OCTETS = "application/octet-stream";

  private final S3Address address;
  private final S3Failures failures;
  private final S3Connection connection;

  /**
   * @param endpoint {@code null} for Amazon's own
   * @param region {@code null} for the environment's
   */
  S3Storage(S3Address address, @Nullable URI endpoint, @Nullable String region) {
    this.address = address;
    this.failures = new S3Failures(address.bucket(), endpoint);
    this.connection = new S3Connection(endpoint, region);
  }

  @Override
  public void put(String name, Path file, long bytes) throws IOException {
    String key = address.key(name);
    try (FileChannel channel = FileChannel.open(file)) {
      call(
          s3 -> {
            if (bytes <= PART_BYTES) {
              s3.putObject(
                  to -> to.bucket(address.bucket()).key(key), body(channel, file, 0, bytes));
            } else {
              putParts(s3, key, channel, file, bytes);
            }
            return null;
          });
    }
  }

  private void putParts(S3Client s3, String key, FileChannel channel, Path file, long bytes) {
    String bucket = address.bucket();
    String upload = s3.createMultipartUpload(to -> to.bucket(bucket).key(key)).uploadId();
    try {
      long partBytes = Math.max(PART_BYTES, Math.ceilDiv(bytes, MAX_PARTS));
      List<CompletedPart> parts = new ArrayList<>();
      for (long begin = 0; begin < bytes; begin += partBytes) {
        int number = parts.size() + 1;
        RequestBody body = body(channel, file, begin, Math.min(partBytes, bytes - begin));
        String tag =
            s3.uploadPart(
                    to -> to.bucket(bucket).key(key).uploadId(upload).partNumber(number), body)
                .eTag();
        parts.add(CompletedPart.builder().partNumber(number).eTag(tag).build());
      }
      s3.completeMultipartUpload(
          to ->
              to.bucket(bucket).key(key).uploadId(upload).multipartUpload(all -> all.parts(parts)));
    } catch (SdkException e) {
      abort(s3, key, upload, e);
      throw e;
    }
  }

  /** Parts of an upload that is neither completed nor aborted take room that nobody sees. */
  private void abort(S3Client s3, String key, String upload, SdkException failure) {
    try {
      s3.abortMultipartUpload(to -> to.bucket(address.bucket()).key(key).uploadId(upload));
    } catch (SdkException e) {
      failure.addSuppressed(e);
    }
  }

  /** Can be read again for another attempt. */
  private static RequestBody body(FileChannel channel, Path file, long begin, long bytes) {
    return RequestBody.fromContentProvider(
        () -> new FileRange(channel, file, begin, bytes), bytes, OCTETS);
  }

  @Override
  public void get(String name, Path target) throws IOException {
    String key = address.key(name);
    long bytes =
        call(s3 -> s3.headObject(of -> of.bucket(address.bucket()).key(key)).contentLength());
    DurableFiles.write(
        target,
        channel -> {
          for (long begin = 0; begin < bytes; begin += PART_BYTES) {
            get(key, channel, begin, Math.min(PART_BYTES, bytes - begin));
          }
        });
  }

  private void get(String key, FileChannel channel, long begin, long bytes) throws IOException {
    String range = "bytes=%d-%d".formatted(begin, begin + bytes - 1);
    byte[] content =
        call(
            s3 ->
                s3.getObjectAsBytes(of -> of.bucket(address.bucket()).key(key).range(range))
                    .asByteArrayUnsafe());
    if (content.length != bytes) {
      throw new IOException(
          "s3://%s/%s changed while it was read".formatted(address.bucket(), key));
    }
    DurableFiles.writeFully(channel, content);
  }

  @Override
  public List<String> list(String beginning) throws IOException {
    return call(
        s3 ->
            s3
                .listObjectsV2Paginator(
                    of -> of.bucket(address.bucket()).prefix(address.key(beginning)))
                .contents()
                .stream()
                .map(S3Object::key)
                .map(key -> key.substring(address.prefix().length()))
                .sorted()
                .toList());
  }

  @Override
  public void delete(String name) throws IOException {
    call(s3 -> s3.deleteObject(of -> of.bucket(address.bucket()).key(address.key(name))));
  }

  private <T> T call(Function<S3Client, T> request) throws StorageException {
    try {
      return request.apply(connection.client());
    } catch (SdkException e) {
      throw failures.explain(e);
    }
  }

  @Override
  public String describe(String name) {
    return address + name;
  }

  @Override
  public void close() {
    connection.close();
  }
}
