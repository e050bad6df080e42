package org.ftcluster.worker.collective;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;

/** Bytes as they are. */
record PlainLane(SocketChannel socket) implements Lane {
  @Override
  public boolean isEncrypted() {
    return false;
  }

  @Override
  public InputStream in() throws IOException {
    return socket.socket().getInputStream();
  }

  @Override
  public OutputStream out() throws IOException {
    return socket.socket().getOutputStream();
  }

  @Override
  public long write(ByteBuffer... from) throws IOException {
    return socket.write(from);
  }

  @Override
  public long read(ByteBuffer... into) throws IOException {
    return socket.read(into);
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
