package org.ftcluster.protocol.serialization;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.Registration;
import com.esotericsoftware.kryo.io.Output;
import com.esotericsoftware.kryo.util.Pool;
import java.io.NotSerializableException;
import org.apache.pekko.actor.ExtendedActorSystem;
import org.apache.pekko.actor.typed.ActorRefResolver;
import org.apache.pekko.actor.typed.javadsl.Adapter;
import org.apache.pekko.serialization.SerializerWithStringManifest;

/**
 * Puts the messages between coordinator and workers into bytes and back. Types are named by fixed
 * numbers, never by class name: bytes from a peer can't make anything but our own message records,
 * and no larger than {@link #MAX_BYTES}.
 */
public final class KryoSerializer extends SerializerWithStringManifest {
  /** Larger than the largest job file that a coordinator takes. */
  public static final int MAX_BYTES = 512 * 1024;

  private static final int IDENTIFIER = 7_001;

  private final Pool<Kryo> kryos;

  public KryoSerializer(ExtendedActorSystem system) {
    kryos =
        new Pool<>(true, false, 8) {
          @Override
          protected Kryo create() {
            return MessageTypes.kryo(ActorRefResolver.get(Adapter.toTyped(system)));
          }
        };
  }

  @Override
  public int identifier() {
    return IDENTIFIER;
  }

  /** Always empty: the bytes begin with the number of their type. */
  @Override
  public String manifest(Object message) {
    return "";
  }

  /**
   * @throws IllegalArgumentException when {@code message} is no message of ours, or too large
   */
  @Override
  public byte[] toBinary(Object message) {
    if (!MessageTypes.isMessage(message.getClass())) {
      throw new IllegalArgumentException(message.getClass() + " is not a message");
    }
    Kryo kryo = kryos.obtain();
    try (Output output = new Output(256, MAX_BYTES)) {
      kryo.writeClassAndObject(output, message);
      return output.toBytes();
    } catch (KryoException e) {
      throw new IllegalArgumentException(
          "a %s can't be written: %s".formatted(message.getClass().getSimpleName(), e.getMessage()),
          e);
    } finally {
      kryos.free(kryo);
    }
  }

  /**
   * @throws NotSerializableException when the bytes aren't exactly one message of ours
   */
  @Override
  public Object fromBinary(byte[] bytes, String manifest) throws NotSerializableException {
    if (bytes.length > MAX_BYTES) {
      throw new NotSerializableException(
          "a message of %d bytes; at most %d are read".formatted(bytes.length, MAX_BYTES));
    }
    Kryo kryo = kryos.obtain();
    try (BoundedInput input = new BoundedInput(bytes)) {
      Registration registration = kryo.readClass(input);
      if (registration == null || !MessageTypes.isMessage(registration.getType())) {
        throw new NotSerializableException("bytes that start no message");
      }
      Object message = kryo.readObject(input, registration.getType());
      if (!input.end()) {
        throw new NotSerializableException("bytes after the end of a message");
      }
      return message;
    } catch (RuntimeException e) {
      // Kryo throws what it stumbles over; whatever it is, these bytes are not a message.
      NotSerializableException refused =
          new NotSerializableException("bytes that are no message: " + e.getMessage());
      refused.initCause(e);
      throw refused;
    } finally {
      kryos.free(kryo);
    }
  }
}
