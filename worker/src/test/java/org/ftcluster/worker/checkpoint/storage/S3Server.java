package org.ftcluster.worker.checkpoint.storage;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import org.gaul.s3proxy.S3Proxy;
import org.gaul.s3proxy.auth.AuthenticationType;
import org.gaul.s3proxy.blobstore.BlobStore;
import org.gaul.s3proxy.blobstore.ForwardingBlobStore;
import org.gaul.s3proxy.nio2blob.TransientNio2BlobStore;
import software.amazon.awssdk.awscore.exception.AwsErrorDetails;
import software.amazon.awssdk.services.s3.model.ListObjectsV2Request;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.PutObjectResponse;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;

/** A server of S3's protocol on a free port of loopback, that keeps everything in memory. */
public final class S3Server implements AutoCloseable {
  public static final String BUCKET = "bucket";
  private static final String KEY_ID = "local-identity";
  private static final String SECRET = "local-credential";

  static {
    // Connections that clients keep would hold up its end by two seconds.
    System.setProperty("http.keepAlive", "false");
  }

  private final BlobStore objects = new TransientNio2BlobStore();
  private final AtomicInteger refused = new AtomicInteger();
  private volatile Predicate<String> refusing = key -> false;
  private final S3Proxy proxy;

  /** Starts it, with an empty bucket, and lets clients of this process find its credentials. */
  public S3Server() {
    objects.createContainer(BUCKET);
    proxy =
        S3Proxy.builder()
            .blobStore(new Refusing())
            .endpoint(URI.create("http://127.0.0.1:0"))
            .awsAuthentication(AuthenticationType.AWS_V4, KEY_ID, SECRET)
            .build();
    try {
      proxy.start();
    } catch (Exception e) {
      throw new IllegalStateException("the S3 server does not start", e);
    }
    System.setProperty("aws.accessKeyId", KEY_ID);
    System.setProperty("aws.secretAccessKey", SECRET);
  }

  /** Answers 503 to uploads of keys that {@code refusing} holds of. */
  public void refuse(Predicate<String> refusing) {
    this.refusing = refusing;
  }

  public int refused() {
    return refused.get();
  }

  public String endpoint() {
    return "http://127.0.0.1:" + proxy.getPort();
  }

  /** All keys, in order. */
  public List<String> keys() {
    return objects.list(ListObjectsV2Request.builder().bucket(BUCKET).build()).contents().stream()
        .map(S3Object::key)
        .sorted()
        .toList();
  }

  public byte[] read(String key) {
    try (InputStream content = objects.getBlob(BUCKET, key)) {
      return content.readAllBytes();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  public void write(String key, byte[] content) {
    objects.putBlob(
        PutObjectRequest.builder()
            .bucket(BUCKET)
            .key(key)
            .contentLength((long) content.length)
            .build(),
        new ByteArrayInputStream(content));
  }

  public void delete(String key) {
    objects.removeBlob(BUCKET, key);
  }

  @Override
  public void close() {
    System.clearProperty("aws.accessKeyId");
    System.clearProperty("aws.secretAccessKey");
    try {
      proxy.stop();
    } catch (Exception e) {
      throw new IllegalStateException("the S3 server does not stop", e);
    }
  }

  private final class Refusing extends ForwardingBlobStore {
    Refusing() {
      super(objects);
    }

    @Override
    public PutObjectResponse putBlob(PutObjectRequest request, InputStream content) {
      if (refusing.test(request.key())) {
        refused.incrementAndGet();
        throw S3Exception.builder()
            .statusCode(503)
            .awsErrorDetails(
                AwsErrorDetails.builder().errorCode("SlowDown").errorMessage("Slow down.").build())
            .build();
      }
      return super.putBlob(request, content);
    }
  }
}
