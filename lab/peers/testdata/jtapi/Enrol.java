import com.cisco.jtapi.extensions.CiscoJtapiPeer;
import com.cisco.jtapi.extensions.CiscoJtapiProperties;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import javax.telephony.JtapiPeerFactory;

/**
 * Asks Cisco's JTAPI client, by its public interface, for what a line of standard input says, and tells on standard output
 * how it went: "did ..." or "failed ...".
 *
 *   enrol STRING    trust list and certificate
 *   lists           the trust list alone
 */
public class Enrol {
    public static void main(String[] a) throws Exception {
        String host = a[0], tftpPort = a[1], capfPort = a[2], user = a[3], instance = a[4], folder = a[5], passphrase = a[6];
        CiscoJtapiProperties p = ((CiscoJtapiPeer) JtapiPeerFactory.getJtapiPeer(null)).getJtapiProperties();
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split(" ");
            try {
                if (words[0].equals("enrol")) {
                    // The client prints what goes wrong here and throws nothing; the other call throws, but only says so.
                    p.setSecurityPropertyForInstance(user, instance, words[1], host, tftpPort, host, capfPort, folder, true, passphrase);
                } else {
                    p.updateServerCertificate(user, instance, host, tftpPort, host, capfPort, folder, passphrase);
                }
                
                System.out.println("did " + words[0] + " updated=" + p.IsCertificateUpdated(user, instance));
            } catch (Throwable t) {
                System.out.println("failed " + words[0] + ": " + t);
            }
        }
        System.exit(0);
    }
}
