package org.ftcluster.worker.checkpoint.storage;

import java.io.IOException;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.Set;
import org.ftcluster.worker.checkpoint.storage.StorageException.Kind;
import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.awscore.exception.AwsErrorDetails;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.ApiCallAttemptTimeoutException;
import software.amazon.awssdk.core.exception.ApiCallTimeoutException;
import software.amazon.awssdk.core.exception.SdkException;

/** Says in a clause what S3, or the way to it, has against a request. No credentials are in it. */
final class S3Failures {
  /** Of requests that come too soon, or late: another try may do. */
  private static final Set<Integer> TEMPORARY = Set.of(408, 409, 429);

  private final String bucket;
  private final String server;

  S3Failures(String bucket, @Nullable URI endpoint) {
    this.bucket = bucket;
    this.server = endpoint == null ? "Amazon S3" : endpoint.toString();
  }

  StorageException explain(SdkException e) {
    return switch (e) {
      case AwsServiceException refusal -> refused(refusal);
      case ApiCallTimeoutException late -> late(late);
      case ApiCallAttemptTimeoutException late -> late(late);
      default -> local(e);
    };
  }

  private StorageException refused(AwsServiceException e) {
    int status = e.statusCode();
    var details = e.awsErrorDetails();
    String code = details == null || details.errorCode() == null ? "" : details.errorCode();
    if (code.equals("NoSuchBucket")) {
      return new StorageException(
          "there is no bucket %s at %s".formatted(bucket, server), Kind.REFUSED, e);
    }
    if (status == 404) {
      return new StorageException("there is no such file", Kind.MISSING, e);
    }
    boolean permanent = status >= 300 && status < 500 && !TEMPORARY.contains(status);
    return new StorageException(
        words(status, code, details), permanent ? Kind.REFUSED : Kind.UNAVAILABLE, e);
  }

  private String words(int status, String code, @Nullable AwsErrorDetails details) {
    String message =
        details == null || details.errorMessage() == null ? "" : details.errorMessage();
    return "%s answered %d %s %s"
        .formatted(server, status, code, message.replaceFirst("\\.$", ""))
        .strip();
  }

  private StorageException late(SdkException e) {
    return new StorageException(server + " doesn't answer in time", Kind.UNAVAILABLE, e);
  }

  /** What failed on this side, or on the way. */
  private StorageException local(SdkException e) {
    String message = String.valueOf(e.getMessage());
    if (message.contains("Unable to load credentials")) {
      return new StorageException(
          "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, where workers start",
          Kind.REFUSED,
          e);
    }
    if (message.contains("Unable to load region")) {
      return new StorageException(
          "there is no region; give checkpoint.region, or set AWS_REGION where workers start",
          Kind.REFUSED,
          e);
    }
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    if (root instanceof IOException) {
      return new StorageException(
          "%s can't be reached: %s".formatted(server, word(root)), Kind.UNAVAILABLE, e);
    }
    return new StorageException(message, Kind.UNAVAILABLE, e);
  }

  private static String word(Throwable e) {
    return switch (e) {
      case UnknownHostException unknown -> "there is no host " + unknown.getMessage();
      default -> e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    };
  }
}
